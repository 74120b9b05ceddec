"""What to do about an error or a failure that AWS reports."""

import re

from classifier.errors import UserError


class NoCapacity(UserError):
    """AWS has no free instance of the type."""


EXPIRED = "the credentials have expired: log in again, such as with aws sso login"
NO_QUOTA = "ResourceLimitExceeded"
# By the start of an error's code.
CODES = {
    NO_QUOTA: "the account's quota is too small; new accounts have none for GPU instances: ask for more "
    "in the console under Service Quotas, Amazon SageMaker, or use another --instance-type",
    "AccessDenied": "the credentials may not do this; README.md lists under Permissions what they need",
    "NoSuchBucket": "run launch/upload.py FOLDER, which creates SageMaker's default bucket",
    "NoSuchEntity": "README.md says under Permissions how to create the role",
    "BucketAlreadyExists": "another account has a bucket of this name: name another with --bucket",
    "ExpiredToken": EXPIRED,
    "RequestExpired": EXPIRED,
    **dict.fromkeys(("TokenRetrieval", "SSO", "UnauthorizedSSO", "LoginToken", "CredentialRetrieval"), EXPIRED),
    "EndpointConnection": "is there a network, and is there such a region?",
    "Throttl": "AWS is asked too often just now: repeat the command in a minute",
    "InvalidClientTokenId": "the credentials are not valid: run aws configure",
    "UnrecognizedClient": "the credentials are not valid: run aws configure",
    "ProfileNotFound": "aws configure list-profiles lists the profiles",
}
# AWS has no free instance of the type just now.
CAPACITY = re.compile("Insufficient.*Capacity|CapacityError|requested ML compute capacity", re.IGNORECASE)
# By what AWS's text says, whether it is an error's or a FailureReason.
TEXTS = {
    CAPACITY.pattern: "AWS has none of these instances free: name others with --more-instance-types, use another "
    "--region, or try again later",
    "not assume role": "the role must exist and trust SageMaker, as launch/policies/trust.json says; one that was just "
    "created takes a minute until AWS knows it",
    "MaxWaitTimeExceeded": "no spot instance was there for long enough: raise --max-wait-minutes, or use --no-spot",
    "MaxRuntimeExceeded": "raise --max-minutes",
    "ping health check": "the container did not answer in time: its log says why; --startup-seconds gives it longer",
    "image.*(not found|not exist)|not find.*(image|repository)": "run ./build_and_push.sh, or name an image that ECR "
    "has in this region with --image",
    "not find model data": "the training job's output is gone: train again, or name another job with --job",
    "TargetModel": "name the model with --model",
    "resource not found|Could not find|Endpoint .* not found": "there is none of this name in this account and region; "
    "launch/status.py lists what there is, and --region names another",
}


# Codes of AWS's errors that pass by themselves.
PASSING = re.compile("Throttl|TooManyRequests|SlowDown|RequestLimitExceeded")
# What it says of a resource that is not there: an endpoint, a job, a group of the registry.
GONE = re.compile("Could not find|not found|does not exist|NotFound", re.IGNORECASE)


def code_of(error: Exception) -> str:
    """Return the code of an error of boto3's; the name of its type if AWS has not answered at all.

    An upload of several parts or threads has the code in its text alone.
    """
    told = re.search(r"An error occurred \((\w+)\)", str(error))
    return getattr(error, "response", {}).get("Error", {}).get("Code") or (told[1] if told else type(error).__name__)


def is_gone(error: Exception) -> bool:
    """Return whether AWS has refused a call since there is no such resource."""
    return GONE.search(f"{code_of(error)} {error}") is not None


def is_passing(error: Exception) -> bool:
    """Return whether AWS may answer the same request later: it is out of reach, out of order or asked too often."""
    from botocore.exceptions import ConnectionError, HTTPClientError

    status = getattr(error, "response", {}).get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    out_of_reach = isinstance(error, (ConnectionError, HTTPClientError))
    return out_of_reach or status >= 500 or PASSING.search(code_of(error)) is not None


def advice_on(text: str, code: str = "") -> str:
    """Return what to do about an error or failure with this text and code; "" if nothing is known."""
    of_text = (advice for pattern, advice in TEXTS.items() if re.search(pattern, text, re.IGNORECASE))
    return next(of_text, "") or next((advice for start, advice in CODES.items() if code.startswith(start)), "")


def with_advice(text: str, code: str = "") -> str:
    """Return the text of an error or a FailureReason on one line, with what to do about it."""
    line, advice = " ".join(text.split()), advice_on(text, code)
    return f"{line.rstrip('.')}: {advice}" if advice else line


def sentence_for(error: Exception) -> str:
    """Return one sentence: the error that boto3 or botocore raised, and what to do about it."""
    code = code_of(error)
    sentence = with_advice(str(error), code)
    return sentence if advice_on(str(error), code) else f"AWS: {sentence}"

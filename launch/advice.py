"""What to do about an error or a failure that AWS reports."""

import re

from classifier.errors import UserError


class NoCapacity(UserError):
    """AWS has no free instance of the type."""


# By the start of an error's code.
CODES = {
    "ResourceLimitExceeded": "the account's quota is too small; new accounts have none for GPU instances: ask for more "
    "in the console under Service Quotas, Amazon SageMaker, or use another --instance-type",
    "AccessDenied": "the credentials may not do this; README.md lists under Permissions what they need",
    "NoSuchBucket": "run launch/upload.py FOLDER, which creates SageMaker's default bucket",
    "NoSuchEntity": "README.md says under Permissions how to create the role",
    "ExpiredToken": "the credentials have expired: log in again, such as with aws sso login",
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
}


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
    code = getattr(error, "response", {}).get("Error", {}).get("Code", type(error).__name__)
    sentence = with_advice(str(error), code)
    return sentence if advice_on(str(error), code) else f"AWS: {sentence}"

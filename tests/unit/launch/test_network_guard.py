import socket
import urllib.request

import pytest


def test_no_test_reaches_another_host(monkeypatch):
    for name in ("HTTPS_PROXY", "NO_PROXY"):  # as on a machine with a proxy of its own
        monkeypatch.setenv(name, "nowhere.invalid")
    with pytest.raises(PermissionError, match="a test tried to reach"):
        socket.create_connection(("192.0.2.1", 443), timeout=1)
    with pytest.raises(OSError, match="refused"):  # nothing listens at the proxy's port
        urllib.request.urlopen("https://sagemaker.eu-west-1.amazonaws.com", timeout=1)


def test_boto3_goes_nowhere(monkeypatch):
    import boto3
    from botocore.exceptions import EndpointConnectionError

    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(EndpointConnectionError):
        boto3.client("sts", region_name="eu-west-1").get_caller_identity()

"""The hosts that messages of SNS may lead to."""

import pytest

from ingest.sns.hosts import PinnedHosts
from penstock.errors import InvalidSignature


@pytest.mark.parametrize(
    "url",
    [
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1.pem",
        "https://sns.us-gov-west-1.amazonaws.com/x.pem",
        "https://sns.cn-north-1.amazonaws.com.cn/x.pem",
        "https://sns.eu-west-1.amazonaws.com:443/x.pem",
        "https://SNS.eu-west-1.amazonaws.com/x.pem",
    ],
)
def test_the_hosts_of_sns_are_pinned(url: str) -> None:
    PinnedHosts().expect(url, "SigningCertURL")


@pytest.mark.parametrize(
    "url",
    [
        "https://gateway.example/x.pem",
        "http://gateway.example:8080/x.pem",
        "https://Gateway.example/x.pem",
        "http://localhost:4566/_aws/sns/x.pem",
    ],
)
def test_further_hosts_are_those_of_the_settings(url: str) -> None:
    PinnedHosts(["gateway.example", "LocalHost:4566"]).expect(url, "SigningCertURL")
    with pytest.raises(InvalidSignature, match="The SigningCertURL does not lead to SNS"):
        PinnedHosts().expect(url, "SigningCertURL")


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/x.pem",
        "https://sns.eu-west-1.amazonaws.com:444/x.pem",
        "https://sns.eu-west-1.amazonaws.com:x/x.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/x.pem",
        "https://evil.example#sns.eu-west-1.amazonaws.com/x.pem",
        "https://evil.example\\@sns.eu-west-1.amazonaws.com/x.pem",
        "https://user@sns.eu-west-1.amazonaws.com/x.pem",
        "https://sns.eu-west-1.amazonaws.com\n.evil.example/x.pem",
        "https://sns.éu.amazonaws.com/x.pem",
        "https://sns..amazonaws.com/x.pem",
        "https://localhost:4567/x.pem",
        "ftp://localhost:4566/x.pem",
        "https://[::1/x.pem",
        "//localhost:4566/x.pem",
        "",
    ],
)
def test_all_others_are_refused(url: str) -> None:
    with pytest.raises(InvalidSignature):
        PinnedHosts(["localhost:4566"]).expect(url, "SigningCertURL")

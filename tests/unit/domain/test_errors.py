"""What the errors say of themselves."""

from __future__ import annotations

import pytest

from job.domain.errors import ClusterError
from job.domain.model import Reason


@pytest.mark.parametrize(
    ("message", "lacks"),
    [
        ('leases.coordination.k8s.io is forbidden: User "a" cannot create resource "leases" in API group ""', True),
        ("Forbidden", True),
        ('leases "x" is forbidden: exceeded quota: objects, requested: count/leases=1', False),
        (
            'configmaps "x" is forbidden: unable to create new content in namespace n because it is being terminated',
            False,
        ),
        ('admission webhook "policy.example" denied the request: no', False),
    ],
)
def test_only_the_authorizer_says_that_a_right_is_missing(message: str, lacks: bool) -> None:
    assert ClusterError(Reason.FORBIDDEN, message, code=403).lacks_right is lacks
    assert not ClusterError(Reason.UNREACHABLE, message).lacks_right

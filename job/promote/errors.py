"""Errors of git commands."""

from __future__ import annotations

from job.domain.errors import ImportImagesError


class GitError(ImportImagesError):
    """A git command failed; the message says what failed, where, and git's reason."""

    exit_status = 1
    # False where the remote may have been changed.
    is_known = True


class RefusedError(GitError):
    """A push that moved nothing."""


class UnknownError(GitError):
    """A push that may have moved the branch."""

    is_known = False

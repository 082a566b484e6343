"""Lets the job find the files of its service account in another folder than a pod's; only the tests' environment."""

import os
from pathlib import Path

import job.cluster.login

folder = Path(os.environ["SERVICE_ACCOUNT_FOLDER"])
job.cluster.login.SERVICE_ACCOUNT = str(folder)
if job.cluster.login._has_proxy():
    from kubernetes.config import incluster_config

    incluster_config.SERVICE_TOKEN_FILENAME = str(folder / "token")
    incluster_config.SERVICE_CERT_FILENAME = str(folder / "ca.crt")

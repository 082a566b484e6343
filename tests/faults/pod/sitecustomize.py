"""Lets the job find the files of its service account in another folder than a pod's; only the tests' environment."""

import os
from pathlib import Path

from kubernetes.config import incluster_config

import job.cluster.api

folder = Path(os.environ["SERVICE_ACCOUNT_FOLDER"])
incluster_config.SERVICE_TOKEN_FILENAME = str(folder / "token")
incluster_config.SERVICE_CERT_FILENAME = str(folder / "ca.crt")
job.cluster.api.SERVICE_ACCOUNT = folder

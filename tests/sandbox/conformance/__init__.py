"""Requests to the image API, and the answers a real OpenShift 4.21 gave to them.

`scenarios` has the requests, `golden` the answers, and `registry-errors.json` what the same OpenShift made of a
registry that failed in 25 ways; `replay` plays them against any server.
"""

"""What real clusters answered and reported, recorded.

`scenarios` has requests to the image API, and `golden` the answers that a real OpenShift 4.21 gave.
`registry-errors.json` is what the same OpenShift made of a registry that failed in 25 ways, and
`registry-errors-field.json` of ten answers of real products (Quay, Harbor, Artifactory, Nexus, ECR, Azure), with their
bodies. `replay` plays these against any server.

`workloads` has what real controllers left at five moments of a day with a bad image, `pods` what a real kubelet
reported of 23 pods, and `timelines` ten rollouts frame by frame; `tests.support.recordings` reads the last two.
"""

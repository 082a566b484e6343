"""The dashboards, made of one typed source: `make dashboards` writes them, and a test holds that what is here is fresh.

`board` says what there is to see, and `expressions` how Prometheus is asked for it. `grafana`, `console` and `perses`
say the same to those who draw it.
"""

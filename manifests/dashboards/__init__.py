"""The dashboards, from one typed source: `make dashboards` writes them, and a test checks that they are fresh.

`board` defines the panels and `expressions` the queries. `grafana`, `console` and `perses` render
them for each program.
"""

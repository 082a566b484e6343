"""What an expression names: metrics, the labels it selects by, and the labels it goes by."""

from __future__ import annotations

from dataclasses import dataclass

import promql_parser as promql


@dataclass(frozen=True, slots=True)
class Selector:
    """A metric, and the labels that it is selected by."""

    metric: str
    labels: frozenset[str]


@dataclass(frozen=True, slots=True)
class Named:
    """All that an expression names."""

    selectors: tuple[Selector, ...]
    labels: frozenset[str]
    made: frozenset[str]


def named(expression: str) -> Named:
    """Take an expression apart; raises ValueError for one that is none.

    `labels` are those of by, on and group_left and those that functions read, `made` those that label_replace and
    label_join make.
    """
    nodes: list[promql.Expr] = []
    promql.walk(promql.parse(expression), nodes.append)
    selectors = list[Selector]()
    labels, made = set[str](), set[str]()
    for node in nodes:
        if isinstance(node, promql.VectorSelector):
            selectors.append(Selector(node.name or "", frozenset(each.name for each in node.matchers.matchers)))
        elif isinstance(node, promql.AggregateExpr) and node.modifier:
            labels |= set(node.modifier.labels)
        elif isinstance(node, promql.BinaryExpr) and node.modifier:
            labels |= {*(node.modifier.group_labels or ())}
            labels |= {*(node.modifier.matching.labels if node.modifier.matching else ())}
        elif isinstance(node, promql.Call) and node.func.name == "label_replace":
            texts = [each.val for each in node.args if isinstance(each, promql.StringLiteral)]
            made.add(texts[0])
            labels.add(texts[2])
        elif isinstance(node, promql.Call) and node.func.name == "label_join":
            texts = [each.val for each in node.args if isinstance(each, promql.StringLiteral)]
            made.add(texts[0])
            labels |= set(texts[2:])
    return Named(tuple(selectors), frozenset(labels), frozenset(made))

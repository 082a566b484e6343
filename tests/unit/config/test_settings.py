"""What a run is told: flags before environment before defaults, and every error at once without a secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from job.config.flags import SETTINGS
from job.config.setting import Setting
from job.config.settings import GatewaySettings, Settings, read_settings
from job.domain.durations import duration
from job.domain.errors import UsageError
from job.domain.selection import Pattern

NAMES = [setting.name for setting in SETTINGS]
FLAGS = {setting.name: setting.flag for setting in SETTINGS if setting.flag}


def settings_of(
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, str | None] | None = None,
    arguments: Sequence[str] = (),
) -> Settings:
    return read_settings(flags or {}, arguments, environment or {})


def errors_of(
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, str | None] | None = None,
    arguments: Sequence[str] = (),
) -> tuple[str, ...]:
    with pytest.raises(UsageError) as caught:
        settings_of(environment, flags, arguments)
    assert caught.value.exit_status == 2
    return caught.value.errors


def test_told_nothing_a_run_has_its_defaults() -> None:
    settings = settings_of()
    assert (settings.namespaces, settings.wanted.deployment, settings.wanted.patterns) == ((), None, ())
    assert (settings.concurrency, settings.retries, settings.import_timeout, settings.deadline) == (64, 4, 60.0, 1800.0)
    assert (settings.verify_tls, settings.gateway, settings.narrowed) == (True, None, False)


@pytest.mark.parametrize(
    ("environment", "namespaces"),
    [
        ({}, ()),
        ({"NAMESPACE": "packit-prod"}, ("packit-prod",)),
        ({"NAMESPACE": " a, b ,a,"}, ("a", "b")),
        ({"SERVICE": "packit", "DEPLOYMENT": "prod"}, ("packit-prod",)),
        ({"SERVICE": "packit"}, ()),
        ({"DEPLOYMENT": "prod"}, ()),
        ({"NAMESPACE": "other", "SERVICE": "packit", "DEPLOYMENT": "prod"}, ("other",)),
        ({"NAMESPACE": "", "SERVICE": "packit", "DEPLOYMENT": "prod"}, ("packit-prod",)),
    ],
)
def test_the_namespaces(environment: dict[str, str], namespaces: tuple[str, ...]) -> None:
    assert settings_of(environment).namespaces == namespaces


def test_a_service_and_deployment_that_make_no_namespace_are_told_by_name() -> None:
    (error,) = errors_of({"SERVICE": "packit", "DEPLOYMENT": "v1.0"})
    assert "SERVICE" in error and "DEPLOYMENT" in error and "packit-v1.0" in error


def test_a_list_of_no_namespaces_is_no_list() -> None:
    assert errors_of({"NAMESPACE": ","})[0].startswith("NAMESPACE:")


def test_a_flag_wins_over_its_environment_variable() -> None:
    settings = settings_of({"DEPLOYMENT": "stg", "RETRIES": "1"}, {"DEPLOYMENT": "prod", "RETRIES": None})
    assert (settings.wanted.deployment, settings.retries) == ("prod", 1)


@pytest.mark.parametrize(
    ("name", "bad"), [("RETRIES", "many"), ("GATEWAY", "x"), ("CLIENT", "x"), ("CONCURRENCY", "0")]
)
def test_a_flag_wins_over_a_bad_value_of_the_environment(name: str, bad: str) -> None:
    good = {"RETRIES": "1", "GATEWAY": "aggregation", "CLIENT": "api", "CONCURRENCY": "1"}[name]
    assert settings_of({name: bad}, {name: good})


def test_a_flag_given_empty_wins_too() -> None:
    assert settings_of({"EXCLUDE": "packit-*"}, {"EXCLUDE": ""}).wanted.exclude == ()


@pytest.mark.parametrize(
    "name", ["CONTEXT", "KUBECONFIG", "NAMESPACE", "AS_USER", "DEPLOYMENT", "SERVICE", "NAMESPACE_SELECTOR", "SELECTOR"]
)
def test_an_empty_flag_never_means_another_cluster_namespace_or_user_or_more_tags(name: str) -> None:
    (setting,) = [setting for setting in SETTINGS if setting.name == name]
    assert errors_of({}, {name: " "}) == (f"{setting.flag}: is empty",)


@pytest.mark.parametrize("text", ["", " ", "\n"])
def test_an_empty_variable_is_as_good_as_none(text: str) -> None:
    assert settings_of(dict.fromkeys(NAMES, text)) == settings_of()


def test_a_variable_may_end_in_a_line_break() -> None:
    settings = settings_of({"HOST": "https://api.example:6443\n", "TOKEN": "secret\n"})
    assert (settings.host, settings.token) == ("https://api.example:6443", "secret")


def test_every_error_is_told_at_once() -> None:
    errors = errors_of(
        {
            "DEPLOYMENT": "pro:d",
            "NAMESPACE": "UPPER",
            "CONCURRENCY": "0",
            "RETRIES": "-1",
            "IMPORT_TIMEOUT": "soon",
            "DEADLINE": "0s",
            "GATEWAY": "none",
            "CLIENT": "telnet",
            "PUSHGATEWAY_ADDRESS": "ftp://h",
            "INSECURE_SKIP_TLS_VERIFY": "perhaps",
            "EXCLUDE": "a b",
        },
        arguments=["a:b:c"],
    )
    for name in ("DEPLOYMENT", "NAMESPACE", "CONCURRENCY", "RETRIES", "IMPORT_TIMEOUT", "DEADLINE", "GATEWAY"):
        assert any(error.startswith(f"{name}:") for error in errors)
    for name in ("CLIENT", "PUSHGATEWAY_ADDRESS", "INSECURE_SKIP_TLS_VERIFY", "EXCLUDE", "'a:b:c'"):
        assert any(error.startswith(name) for error in errors)


@pytest.mark.parametrize("name", ["DEPLOYMENT", "CONCURRENCY", "PUSHGATEWAY_ADDRESS"])
def test_a_bad_flag_is_told_as_the_flag(name: str) -> None:
    (error,) = errors_of(flags={name: "?"})
    assert error.startswith(f"{FLAGS[name]}:")


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("DEPLOYMENT", ["prod", "v1.0", "_x", "a" * 128], ["a" * 129, "-x", "a b", "pro*", "prod,stg", "é"]),
        ("NAMESPACE", ["a", "a-1", "a" * 63], ["A", "-a", "a-", "a" * 64, "a.b", "a b"]),
        ("CONCURRENCY", ["1", "256"], ["0", "257", "-1", "1.5", "one", "٣", "1_0", "0x1", "9" * 99]),
        ("RETRIES", ["0", "20"], ["21", "-1", "x"]),
        ("IMPORT_TIMEOUT", ["1m", "90s", "500ms"], ["0", "0s", "60", "1 m", "-1m", "1m30", "m"]),
        ("DEADLINE", ["30m", "1h30m"], ["forever", "99999d"]),
        ("SELECTOR", ["app=worker", "app in (a,b),!old", "tier!=db"], ["a;b", "a\nb", "a=é"]),
        ("EXCLUDE", ["packit-*", "a:b,c", "*:*-old"], ["a:b:c", ":b", "a/b"]),
        ("GATEWAY", ["pushgateway", "aggregation"], ["Pushgateway", "push"]),
        ("CLIENT", ["api"], ["API", "curl"]),
        ("INSECURE_SKIP_TLS_VERIFY", ["true", "False", "1", "no"], ["2", "maybe"]),
        ("PUSHGATEWAY_ADDRESS", ["h", "h:9091", "http://h", "https://h:1/x/", "http://[::1]:9091"], []),
        ("PUSHGATEWAY_ADDRESS", [], ["ftp://h", "http://", "h:99999", "h:0", "http://h?x=1", "http://h#x", "h h"]),
        ("PUSHGATEWAY_ADDRESS", [], ["http://[::1", "http://h\nh", "http://é", "://h"]),
        ("PUSHGATEWAY_CA_FILE", [__file__], ["/no/such/file", "/", "x\0y"]),
    ],
)
def test_good_and_bad_values(name: str, good: list[str], bad: list[str]) -> None:
    for text in good:
        settings_of({name: text})
    for text in bad:
        errors = errors_of({name: text})
        assert errors[0].startswith(f"{name}:"), text


def test_certificates_given_in_place_of_their_file_are_refused() -> None:
    certificate = "-----BEGIN CERTIFICATE-----\n" + "MIIB" * 500 + "\n-----END CERTIFICATE-----"
    assert errors_of({"PUSHGATEWAY_CA_FILE": certificate})[0].startswith("PUSHGATEWAY_CA_FILE:")


@pytest.mark.parametrize(
    ("environment", "named"),
    [({"HOST": "https://api:6443"}, "TOKEN"), ({"TOKEN": "secret"}, "HOST")],
)
def test_host_and_token_go_together(environment: dict[str, str], named: str) -> None:
    (error,) = errors_of(environment)
    assert named in error


def test_rolling_back_implies_watching() -> None:
    assert settings_of({"ON_BAD_ROLLOUT": "rollback", "WATCH_ROLLOUTS": "false"}).watch_rollouts
    assert not settings_of({"ON_BAD_ROLLOUT": "report"}).watch_rollouts


class TestNarrowed:
    @pytest.mark.parametrize(
        ("environment", "flags", "arguments", "narrowed"),
        [
            ({"SELECTOR": "a=b", "EXCLUDE": "x", "DEPLOYMENT": "prod"}, {}, [], False),
            ({}, {"SELECTOR": "a=b"}, [], True),
            ({}, {"EXCLUDE": "x"}, [], True),
            ({}, {}, ["worker"], True),
            ({}, {"DEPLOYMENT": "prod", "NAMESPACE": "a"}, [], False),
        ],
    )
    def test_by_what_is_given_by_hand(
        self, environment: dict[str, str], flags: dict[str, str | None], arguments: list[str], narrowed: bool
    ) -> None:
        assert settings_of(environment, flags, arguments).narrowed is narrowed


class TestGateway:
    @pytest.mark.parametrize(
        ("address", "url"),
        [
            ("h", "http://h"),
            ("pushgateway:9091", "http://pushgateway:9091"),
            ("https://h/push/", "https://h/push"),
            ("http://user:pass@h:9091/", "http://h:9091"),
            ("user:pass@h:9091", "http://h:9091"),
            ("[::1]:9091", "http://[::1]:9091"),
        ],
    )
    def test_its_address(self, address: str, url: str) -> None:
        gateway = settings_of({"PUSHGATEWAY_ADDRESS": address}).gateway
        assert gateway and gateway.url == url

    def test_a_login_of_the_address(self) -> None:
        gateway = settings_of({"PUSHGATEWAY_ADDRESS": "http://us%40er:p%3Ass@h"}).gateway
        assert gateway == GatewaySettings("http://h", False, "us@er", "p:ss")

    def test_a_login_of_its_own_variables_wins(self) -> None:
        login = {"PUSHGATEWAY_USERNAME": "me", "PUSHGATEWAY_PASSWORD": "mine"}
        gateway = settings_of({"PUSHGATEWAY_ADDRESS": "http://user:pass@h", **login}).gateway
        assert gateway == GatewaySettings("http://h", False, "me", "mine")

    def test_without_an_address_there_is_none(self) -> None:
        assert settings_of({"GATEWAY": "aggregation", "PUSHGATEWAY_TOKEN": "x"}).gateway is None

    @pytest.mark.parametrize(
        "environment",
        [
            {"PUSHGATEWAY_PASSWORD": "hunter2"},
            {"PUSHGATEWAY_TOKEN": "hunter2", "PUSHGATEWAY_USERNAME": "me"},
        ],
    )
    def test_logins_that_do_not_go_together_are_refused(self, environment: dict[str, str]) -> None:
        (error,) = errors_of({"PUSHGATEWAY_ADDRESS": "h", **environment})
        assert error.startswith("PUSHGATEWAY_") and "hunter2" not in error


SECRET = "s3cr3t-" + "9" * 6
TEXTS = st.text(max_size=40) | st.text("abc:/@*,=-.%[] 0129smhd\n", max_size=40)


class TestProperties:
    @given(st.dictionaries(st.sampled_from(NAMES), TEXTS), st.lists(TEXTS, max_size=2))
    def test_any_text_gives_settings_or_errors_by_name(self, environment: dict[str, str], arguments: list[str]) -> None:
        try:
            settings_of(environment, arguments=arguments)
        except UsageError as error:
            assert error.errors
            for line in error.errors:
                assert any(name in line for name in NAMES) or line.startswith(("'", '"'))

    @given(st.dictionaries(st.sampled_from(sorted(FLAGS)), TEXTS.filter(bool), min_size=1))
    def test_any_text_for_flags_gives_settings_or_errors_by_flag(self, flags: dict[str, str]) -> None:
        try:
            settings_of(flags=flags)
        except UsageError as error:
            for line in error.errors:
                assert any(FLAGS[name] in line for name in flags) or "SERVICE and DEPLOYMENT" in line

    @given(TEXTS, TEXTS, st.sampled_from(["TOKEN", "PUSHGATEWAY_PASSWORD", "PUSHGATEWAY_TOKEN"]))
    def test_no_secret_is_ever_repeated(self, before: str, behind: str, name: str) -> None:
        environment = {name: before + SECRET + behind, "PUSHGATEWAY_ADDRESS": "h", "RETRIES": "bad"}
        assert SECRET not in "\n".join(errors_of(environment))

    @given(
        st.sampled_from(["http://", "https://", "http:/", "https//", "http:", "//", "ftp://", "http:///", ""]),
        TEXTS,
        st.sampled_from(["@h", "@h:1", "@", "@h:x", "@h/path", "@h?q", "@@h", "/@h"]),
        st.sampled_from(["HOST", "PUSHGATEWAY_ADDRESS"]),
    )
    def test_no_login_of_an_address_is_ever_repeated(self, scheme: str, user: str, host: str, name: str) -> None:
        environment = {name: f"{scheme}{user}:{SECRET}{host}", "TOKEN": "x", "HOST": "h"} | {"RETRIES": "bad"}
        assert SECRET not in "\n".join(errors_of(environment))

    @given(
        st.sampled_from(["http://", "https://", "http:/", "https//", "http:", "//", "http:///", ""]),
        st.text("abc:/@%[]", max_size=8),
        st.sampled_from(["@h", "@h:1", "@h/path", "@@h", "/@h"]),
    )
    def test_the_gateways_url_never_carries_a_login(self, scheme: str, user: str, host: str) -> None:
        try:
            gateway = settings_of({"PUSHGATEWAY_ADDRESS": f"{scheme}{user}:{SECRET}{host}"}).gateway
        except UsageError:
            return
        assert gateway and SECRET not in gateway.url

    def test_settings_shown_hide_their_secrets(self) -> None:
        secrets = {"TOKEN": SECRET, "HOST": "h", "PUSHGATEWAY_ADDRESS": f"http://user:{SECRET}@h"}
        assert SECRET not in repr(settings_of(secrets))
        token = {"PUSHGATEWAY_ADDRESS": "h", "PUSHGATEWAY_TOKEN": SECRET}
        assert SECRET not in repr(settings_of(token))

    @given(st.lists(st.text("abc*?[]!-.", min_size=1, max_size=5), min_size=1, max_size=3))
    def test_exclusions_are_read_as_they_are_written(self, globs: list[str]) -> None:
        settings = settings_of({"EXCLUDE": ", ".join(globs)})
        assert settings.wanted.exclude == tuple(dict.fromkeys(Pattern(glob) for glob in globs))


class TestDurations:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("500ms", 0.5),
            ("90s", 90),
            ("1.5h", 5400),
            ("1h30m", 5400),
            ("14d", 1_209_600),
            ("1d1h1m1s1ms", 90061.001),
        ],
    )
    def test_they_are_read(self, text: str, seconds: float) -> None:
        assert duration(text) == pytest.approx(seconds)

    @pytest.mark.parametrize(
        "text", ["", " ", "0s", "0h0m", "5", "5 m", "-5m", "+5m", "5M", "1e3s", "5m5", ".5m", "inf"]
    )
    def test_what_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="is not a duration"):
            duration(text)

    @given(st.lists(st.tuples(st.integers(0, 99), st.sampled_from(["ms", "s", "m", "h", "d"])), min_size=1, max_size=4))
    def test_parts_add_up(self, parts: list[tuple[int, str]]) -> None:
        units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
        total = sum(number * units[unit] for number, unit in parts)
        assume(total > 0)
        assert duration("".join(f"{number}{unit}" for number, unit in parts)) == pytest.approx(total)

    @given(st.text(max_size=20) | st.text("0123456789.msh d", max_size=400))
    def test_any_text_is_a_duration_above_zero_or_refused(self, text: str) -> None:
        try:
            assert 0 < duration(text) <= 3650 * 86400
        except ValueError as error:
            assert "is not a duration" in str(error)


def test_every_setting_is_told_of_once() -> None:
    assert len(set(NAMES)) == len(NAMES)
    assert len(set(FLAGS.values())) == len(FLAGS)


def test_the_published_settings_are_all_known() -> None:
    published = {
        *("DEPLOYMENT", "NAMESPACE", "SERVICE", "SELECTOR", "EXCLUDE", "HOST", "TOKEN", "INSECURE_SKIP_TLS_VERIFY"),
        *("CLIENT", "PUSHGATEWAY_ADDRESS", "PUSHGATEWAY_USERNAME", "PUSHGATEWAY_PASSWORD", "PUSHGATEWAY_TOKEN"),
        *("PUSHGATEWAY_CA_FILE", "GATEWAY", "CONCURRENCY", "RETRIES", "IMPORT_TIMEOUT", "DEADLINE"),
    }
    assert published <= set(NAMES)


@pytest.mark.parametrize(
    ("flag", "value", "environment"),
    [
        ("NAMESPACE_SELECTOR", "team=packit", {"NAMESPACE": "other", "SERVICE": "packit", "DEPLOYMENT": "prod"}),
        ("NAMESPACE", "packit-stg", {"NAMESPACE_SELECTOR": "team=other"}),
        ("SERVICE", "packit", {"NAMESPACE": "other", "NAMESPACE_SELECTOR": "team=other", "DEPLOYMENT": "prod"}),
    ],
)
def test_a_flag_beats_the_environment_that_answers_the_same_in_another_way(
    flag: str, value: str, environment: dict[str, str]
) -> None:
    settings = settings_of(environment, {flag: value})
    places = {"NAMESPACE": ("packit-stg",), "SERVICE": ("packit-prod",)}
    assert settings.namespaces == places.get(flag, ())
    assert settings.namespace_selector == (value if flag == "NAMESPACE_SELECTOR" else None)


def test_a_login_in_the_flag_beats_that_of_the_environment() -> None:
    environment = {"PUSHGATEWAY_TOKEN": "abc", "PUSHGATEWAY_USERNAME": "other", "PUSHGATEWAY_PASSWORD": "other"}
    gateway = settings_of(environment, {"PUSHGATEWAY_ADDRESS": "http://me:mine@h"}).gateway
    assert gateway == GatewaySettings("http://h", False, "me", "mine")
    with pytest.raises(UsageError):
        settings_of(environment | {"PUSHGATEWAY_ADDRESS": "http://me:mine@h"})


def test_two_answers_in_the_environment_are_an_error() -> None:
    (error,) = errors_of({"NAMESPACE": "a", "NAMESPACE_SELECTOR": "b=c"})
    assert error.startswith("NAMESPACE_SELECTOR:")


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_default_is_a_valid_value(setting: Setting[object]) -> None:
    assert setting.fallback == setting.parse(setting.default)

"""The environment and the configuration of one git command: the user's login, and nothing that a repository chose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from job.config.flags import SETTINGS
from job.promote.remote import Remote

Pairs = tuple[tuple[str, str], ...]

# Only these of git's own variables are kept: the login, the identity, and the user's own configuration. The others
# would point to another repository (git sets them for its hooks and aliases), or write traces with logins.
_KEPT = frozenset(
    {
        "GIT_ASKPASS",
        "GIT_CONFIG_COUNT",
        "GIT_CONFIG_GLOBAL",
        "GIT_EXEC_PATH",
        "GIT_PROXY_COMMAND",
        "GIT_SSH",
        "GIT_SSH_COMMAND",
        "GIT_SSH_VARIANT",
        "GIT_TERMINAL_PROMPT",
    }
)
_KEPT_PREFIXES = ("GIT_AUTHOR_", "GIT_COMMITTER_", "GIT_CONFIG_KEY_", "GIT_CONFIG_VALUE_", "GIT_HTTP_", "GIT_SSL_")
# Git has no use for our settings, some of which are secrets.
_OURS = frozenset(setting.name for setting in SETTINGS)
USERNAME, PASSWORD = "IMPORT_IMAGES_GIT_USERNAME", "IMPORT_IMAGES_GIT_PASSWORD"
# It reads its own environment, so that no command line has the login. The values have no line break.
_HELPER = f"""!f() {{ test "$1" = get && printf 'username=%s\\npassword=%s\\n' "${USERNAME}" "${PASSWORD}"; }}; f"""
# Wins over every configuration file, whatever a repository or a global file says.
HARDENED: Pairs = (
    ("protocol.ext.allow", "never"),
    # A repository may be a folder of this machine.
    ("protocol.file.allow", "always"),
    ("core.fsmonitor", "false"),
    # Git would run this with the path of a reference clone; a shell's `:` prints nothing.
    ("core.alternateRefsCommand", ":"),
    ("fetch.recurseSubmodules", "false"),
    ("push.recurseSubmodules", "no"),
    ("submodule.recurse", "false"),
    # Only stable branches are pushed, never tags along with them.
    ("push.followTags", "false"),
    ("log.showSignature", "false"),
    ("i18n.logOutputEncoding", "UTF-8"),
    # In the foreground, so that no process outlives the command.
    ("gc.autoDetach", "false"),
    ("maintenance.autoDetach", "false"),
    # A transfer of less than 1 kB/s for a minute is a dead connection.
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "60"),
)
NO_HOOKS = "/dev/null"
# What the system's configuration may say: how to log in, and which certificates to trust.
SYSTEM_KEYS = r"^(credential|http|https)\."


def config_of(remote_name: str, remote: Remote) -> Pairs:
    """The configuration of a network command: the address, and its login by a credential helper."""
    pairs = [
        (f"remote.{remote_name}.url", remote.url),
        (f"remote.{remote_name}.fetch", f"+refs/heads/*:refs/remotes/{remote_name}/*"),
    ]
    if remote.has_login:
        # The empty value removes the helpers configured before, which could store the login.
        pairs += [(f"credential.{remote.base}.helper", ""), (f"credential.{remote.base}.helper", _HELPER)]
    return tuple(pairs)


def login_of(remote: Remote) -> dict[str, str]:
    """The login as variables of one network command. A login without a password is a token."""
    if not remote.has_login:
        return {}
    return {USERNAME: remote.username, PASSWORD: remote.password}


def git_environment(
    inherited: Mapping[str, str], config: Sequence[tuple[str, str]], *, has_terminal: bool
) -> dict[str, str]:
    """The environment of a git command.

    Args:
        inherited: the environment of this process.
        config: keys and values; a later value of a key wins.
        has_terminal: whether git may ask for a login.
    """
    environment = {name: value for name, value in inherited.items() if _is_kept(name)}
    # Its messages become part of ours, which are in English.
    environment |= {"LC_ALL": "C", "GIT_CONFIG_NOSYSTEM": "1"}
    # The addresses are those of promote.toml: remote helpers beyond git's usual ones are not allowed.
    environment["GIT_PROTOCOL_FROM_USER"] = "0"
    if not has_terminal:
        environment["GIT_TERMINAL_PROMPT"] = "0"
    environment |= _numbered(environment.get("GIT_CONFIG_COUNT", ""), config)
    return environment


def _is_kept(name: str) -> bool:
    if name.startswith("GIT_"):
        return name in _KEPT or name.startswith(_KEPT_PREFIXES)
    return name not in _OURS


def _numbered(count: str, config: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Configuration as variables, after the `count` entries that are there already."""
    start = int(count) if count.isascii() and count.isdecimal() and len(count) < 5 else 0
    variables: dict[str, str] = {}
    number = start
    for number, (name, value) in enumerate(config, start):
        variables |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return variables | {"GIT_CONFIG_COUNT": str(number + 1 if variables else start)}

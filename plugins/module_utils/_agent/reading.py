# Copyright: (c) 2026, herdops.alpacon contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the package, service, process and configuration of the agent on the host.

This code runs on managed hosts, so it needs only Python 3.6 and its standard library.
"""

import hashlib
import os
import platform
import re
import shutil
import stat
import time
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

Row = Dict[str, Any]

CONFIGURATION = "/etc/alpamon/alpamon.conf"
OVERRIDE = "/etc/systemd/system/alpamon.service.d/ansible.conf"
FOLDERS = {
    "/etc/alpamon": "0700",
    "/var/lib/alpamon": "0750",
    "/var/log/alpamon": "0750",
    "/run/alpamon": "0750",
}
#: The CA of the workspace in the trust stores of Debian, Red Hat and SUSE.
CERTIFICATES = (
    "/usr/local/share/ca-certificates/alpamon.crt",
    "/etc/pki/ca-trust/source/anchors/alpamon.pem",
    "/etc/pki/trust/anchors/alpamon.pem",
)
#: The setup scripts of the vendor use the same paths. With others, a host would have the repository twice.
REPOSITORIES = (
    "/etc/apt/sources.list.d/alpacax_alpamon.sources",
    "/etc/apt/sources.list.d/alpacax_alpamon.list",
    "/etc/yum.repos.d/alpacax_alpamon.repo",
    "/etc/zypp/repos.d/alpacax_alpamon.repo",
)
VENDOR_REPOSITORY = REPOSITORIES[1]
KEYS = ("/etc/apt/keyrings/alpacax_alpamon.asc", "/etc/pki/rpm-gpg/RPM-GPG-KEY-alpamon")
FILES = (*FOLDERS, CONFIGURATION, OVERRIDE, *CERTIFICATES, *REPOSITORIES, *KEYS)
PROGRAM = "/usr/bin/alpamon"
PID_FILE = "/run/alpamon.pid"
PENDING = ("/var/lib/alpamon/upgrade.pending", "/var/lib/alpamon/migration.pending")
SERVICE, TIMER = "alpamon.service", "alpamon-restart.timer"
#: By lock file of dnf, dnf 5 and zypper: the pattern of a line that holds the package.
_HOLDS = {
    "/etc/dnf/plugins/versionlock.list": r"!?alpamon(-\d.*|-?\*)?",
    "/etc/dnf/versionlock.toml": r"name\s*=\s*[\"']alpamon[\"']",
    "/etc/zypp/locks": r"solvable_name:\s*alpamon",
}
_MAX_BYTES = 1024 * 1024
MASK = "********"

_QUERY = ["dpkg-query", "--show", "--showformat", "${db:Status-Want} ${db:Status-Status} ${Version}", "alpamon"]
#: The role writes the machine id into the configuration to find out whether a host is a clone.
_MACHINE = re.compile(r"(?m)^# Machine: (\S+)$")
_SETTING = re.compile(r"(url|id|key)\s*[=:]\s*[\"`]?([^\s\"`]+)")
#: Formats of an id and a key. A truncated id does not match.
_ID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\Z", re.I)
_KEY = re.compile(r"[!#-\[\]-~]+\Z")
_SECRET = re.compile(r"(?im)^([^\S\n]*[\w.-]*(?:key|token|secret|password)[\w.-]*[^\S\n]*[=:][^\S\n]*)\S.*$")


class System(NamedTuple):
    """Access to the host.

    Attributes:
        root: prefix of all paths; tests set it.
    """

    run_program: Callable[[List[str]], Tuple[int, str]]
    root: str = ""
    environ: Mapping[str, str] = os.environ

    def read_text(self, path: str) -> str:
        """Return the text of a file; empty if it is missing or unreadable."""
        try:
            with open(self.root + path, "rb") as file:
                return file.read(_MAX_BYTES).decode("utf-8", "replace")
        except OSError:
            return ""

    def get_status(self, path: str, follow: bool = True) -> Optional[os.stat_result]:
        """Return the status of a file; None if it is missing."""
        try:
            return os.stat(self.root + path) if follow else os.lstat(self.root + path)
        except OSError:
            return None

    def get_output(self, command: List[str]) -> str:
        """Return the output of a program; empty if it is missing or fails."""
        if shutil.which(command[0]) is None:
            return ""
        code, output = self.run_program(command)
        return "" if code else output.strip()


def read_agent(
    host: System,
    package_file: str = "",
    return_key: bool = False,
    controller_time: Optional[float] = None,
) -> Row:
    """Return the result of M(herdops.alpacon.alpamon_info).

    Args:
        package_file: path of a package on the host whose version is returned too.
        controller_time: time on the controller, in seconds since the epoch.
    """
    version, held = read_package(host)
    service_manager = host.read_text("/proc/1/comm").strip()
    units = read_units(host) if service_manager == "systemd" else {}
    machine = _MACHINE.search(host.read_text(CONFIGURATION))
    hostname = platform.node().split(".")[0]
    return {
        "version": version,
        "held": held,
        "package_file_version": read_file_version(host, package_file) if package_file else None,
        "service_manager": service_manager,
        "service": parse_unit(units.get(SERVICE, {})),
        "restart_timer": parse_unit(units.get(TIMER, {})),
        "process": read_process(host, units.get(SERVICE, {}).get("MainPID", "")),
        "configuration": read_configuration(host, return_key),
        "machine_id": host.read_text("/etc/machine-id").strip(),
        "registered_machine_id": machine.group(1) if machine else "",
        "pending": [path for path in PENDING if host.get_status(path)],
        "files": {path: describe_file(host, path) for path in FILES},
        "distribution": read_distribution(host),
        "hostname": "" if hostname in ("localhost", "(none)") else hostname,
        "proxies": sorted(name for name in host.environ if re.match(r"(?i)https?_proxy$", name)),
        "uid": os.geteuid(),
        "clock_ahead": None if controller_time is None else round(time.time() - controller_time),
    }


# The package


def read_package(host: System) -> Tuple[Optional[str], bool]:
    """Return the installed version, and True if it is held. A host may have both dpkg and rpm."""
    wanted, _space, found = host.get_output(_QUERY).partition(" ")
    held = found.startswith("installed ") and wanted == "hold"
    for path, pattern in _HOLDS.items():
        held = held or any(re.fullmatch(pattern, line.strip()) for line in host.read_text(path).splitlines())
    if found.startswith("installed "):
        return to_agent_version(found[len("installed ") :]), held
    return to_agent_version(host.get_output(["rpm", "--query", "--queryformat", "%{VERSION}\n", "alpamon"])), held


def read_file_version(host: System, path: str) -> Optional[str]:
    if path.endswith(".deb"):
        return to_agent_version(host.get_output(["dpkg-deb", "--show", "--showformat", "${Version}", path]))
    return to_agent_version(host.get_output(["rpm", "--query", "--package", "--queryformat", "%{VERSION}\n", path]))


def to_agent_version(version: str) -> Optional[str]:
    """Convert the version of a package, such as 2.6.0~rc1-1, to that of the agent, 2.6.0-rc1; None if invalid."""
    found = re.match(r"(?:\d+:)?(\d[^-~+\s]*(?:~[a-z]+[.0-9]*)?)", version)
    return found.group(1).replace("~", "-") if found else None


# The service and its process


def read_units(host: System) -> Dict[str, Dict[str, str]]:
    shown = host.get_output(["systemctl", "show", "--property=Id,ActiveState,UnitFileState,MainPID", SERVICE, TIMER])
    blocks = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in shown.split("\n\n")]
    return {block["Id"]: block for block in blocks if "Id" in block}


def parse_unit(properties: Mapping[str, str]) -> Row:
    return {
        "active": properties.get("ActiveState") == "active",
        "enabled": properties.get("UnitFileState") == "enabled",
    }


def read_process(host: System, main_pid: str) -> Row:
    """Return the process of the agent, and the parts of its installation that changed after it started.

    Args:
        main_pid: pid from systemd, for hosts without a pid file.
    """
    pid = host.read_text(PID_FILE).strip() or main_pid
    # If the agent has ended, another process may have its pid.
    if not pid.isdigit() or host.read_text("/proc/{}/comm".format(pid)).strip() != "alpamon":
        return {"pid": None, "state": "none", "outdated": []}
    outdated: List[str] = []
    try:
        program = os.readlink("{}/proc/{}/exe".format(host.root, pid))
    except OSError:
        program = ""
    started = host.get_status(PID_FILE) or host.get_status("/proc/{}".format(pid))
    # The program of a script is its interpreter, so compare the time of the script. Packages set the modification time
    # to that of the build, so compare the change time.
    is_replaced_script = program != PROGRAM and _is_newer(host.get_status(PROGRAM), started, "st_ctime_ns")
    if program.endswith(" (deleted)") or is_replaced_script:
        outdated.append("package")
    paths = (CONFIGURATION, OVERRIDE, *CERTIFICATES)
    if any(_is_newer(host.get_status(path), started, "st_mtime_ns") for path in paths):
        outdated.append("configuration")
    return {"pid": int(pid), "state": "outdated" if outdated else "current", "outdated": outdated}


def _is_newer(file: Optional[os.stat_result], started: Optional[os.stat_result], attribute: str) -> bool:
    if file is None or started is None:
        return False
    # A time in the future comes from a wrong clock, and would restart the agent in every run.
    return bool(started.st_mtime_ns < getattr(file, attribute) <= time.time() * 1e9)


# The configuration


def read_configuration(host: System, return_key: bool) -> Row:
    text = host.read_text(CONFIGURATION)
    found = read_settings(text)
    key = found.get("key")
    masked = _SECRET.sub(r"\g<1>" + MASK, text)
    readable = True
    try:
        with open(host.root + CONFIGURATION, "rb"):
            pass
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError:
        readable = False
    return {
        "url": found.get("url"),
        "id": found.get("id"),
        "key": key if return_key else None,
        "readable": readable,
        "complete": "url" in found and bool(_ID.match(found.get("id", "")) and _KEY.match(found.get("key", ""))),
        "text": masked.replace(key, MASK) if key else masked,
    }


def read_settings(text: str) -> Dict[str, str]:
    """Return the settings in the section ``server``. As in the agent, the last line of a setting is used."""
    section = ""
    found: Dict[str, str] = {}
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            section = line.strip("[]").strip()
        elif section == "server":
            setting = _SETTING.match(line)
            if setting:
                found[setting.group(1)] = setting.group(2)
    return found


# The host


def describe_file(host: System, path: str) -> Row:
    # For a link to a folder, ansible.builtin.file sets the mode of the folder.
    status = host.get_status(path, follow=path in FOLDERS)
    if status is None:
        return {"exists": False}
    found: Row = {
        "exists": True,
        "mode": "{:04o}".format(stat.S_IMODE(status.st_mode)),
        "uid": status.st_uid,
        "gid": status.st_gid,
    }
    if stat.S_ISREG(status.st_mode) and status.st_size <= _MAX_BYTES:
        try:
            with open(host.root + path, "rb") as file:
                found["sha256"] = hashlib.sha256(file.read()).hexdigest()
        except OSError:
            pass
    return found


def read_distribution(host: System) -> Row:
    text = host.read_text("/etc/os-release") or host.read_text("/usr/lib/os-release")
    rows = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    found = {name: value.strip().strip("\"'") for name, value in rows.items()}
    identifier = found.get("ID", "").lower()
    return {
        "id": identifier,
        "name": found.get("NAME") or identifier or platform.system(),
        "version": found.get("VERSION_ID", ""),
    }

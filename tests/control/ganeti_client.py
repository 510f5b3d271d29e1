# SPDX-License-Identifier: MIT
#
# Usage: ganeti_client.py SOCKET
#
# A session with the QMP client of Ganeti (Debian's package ganeti-3.0), which was made for QEMU: greeting, version, commands, answers beside events,
# errors, stop and cont, the balloon, quit. Ends with status 77 when the client is not installed. Says what differs from what it expects.
import sys

try:
    from ganeti import errors
    from ganeti.hypervisor.hv_kvm.monitor import QmpCommandNotSupported, QmpConnection
except ImportError as why:
    print(why)
    sys.exit(77)


def expect(what, got, want):
    if got != want:
        sys.exit(f"{what}: {got!r}, not {want!r}")


def fails(qmp, error, word, command, arguments=None):
    try:
        qmp.Execute(command, arguments)
    except error as why:
        if word not in str(why):
            sys.exit(f"{command}: '{why}' has no '{word}'")
        return
    sys.exit(f"{command} does not fail")


with QmpConnection(sys.argv[1]) as qmp:
    expect("package", qmp.package.split()[0], "minivmm")
    expect("version", len(qmp.version), 3)
    expect("status", qmp.Execute("query-status")["status"], "running")
    for _ in range(20):
        QmpConnection(sys.argv[1]).StopGuestEmulation()  # connects by itself
        expect("status", qmp.Execute("query-status")["status"], "paused")
        qmp.Execute("cont")
    expect("status", qmp.Execute("query-status")["running"], True)
    expect("disk", [disk["device"] for disk in qmp.Execute("query-block")], ["root"])
    expect("CPUs", [cpu["cpu-index"] for cpu in qmp.Execute("query-cpus-fast")], [0])
    expect("balloon", qmp.Execute("query-balloon")[qmp.ACTUAL_KEY], 16 << 20)
    expect("balloon", qmp.Execute("balloon", {"value": 8 << 20}), {})
    fails(qmp, errors.HypervisorError, "GenericError", "balloon", {"value": 0})
    fails(qmp, errors.HypervisorError, "DeviceNotFound", "qom-get", {"path": "/machine/nobody", "property": "type"})
    fails(qmp, QmpCommandNotSupported, "migrate", "migrate", {"uri": "tcp:127.0.0.1:1"})
    again = QmpConnection(sys.argv[1])
    again.StopGuestEmulation()
    again.ContinueGuestEmulation()
    expect("status", qmp.Execute("query-status")["status"], "running")
    expect("reset", qmp.Execute("system_reset"), {})
    expect("quit", qmp.Execute("quit"), {})

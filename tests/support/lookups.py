"""A process that can reach nothing, every name that it wanted to look up, and every address that it wanted to reach.

python lookups.py FOLDER COMMAND... runs a command in a network of its own, whose name server knows no name; every
other address leads back into it. It prints the names and the addresses that were asked for, a line each after the
command's own output. It exits as the command does, or with 77 where the system permits no namespaces.
"""

import ctypes
import fcntl
import ipaddress
import os
import socket
import struct
import subprocess
import sys
import threading

NEW_MOUNTS, NEW_USER, NEW_NETWORK, BIND = 0x00020000, 0x10000000, 0x40000000, 4096  # of <sched.h> and <sys/mount.h>
GET_FLAGS_UP = struct.pack("16sH14x", b"lo", 1)
SET_FLAGS = 0x8914  # of <linux/sockios.h>
NOT_PERMITTED = 77
MARK, REACHED = "looked up: ", "wanted to reach: "
# Of <linux/rtnetlink.h>: make a route, if there is none, by a device alone
NEW_ROUTE, CREATE, DEVICE, DEFAULT = 24, 0x0001 | 0x0004 | 0x0400, 4, struct.pack("=3x4BI", 254, 3, 253, 1, 0)
LOOPBACK, EVERY_KIND = socket.if_nametoindex("lo"), 3  # a packet of any protocol: ETH_P_ALL


def leave_the_network(folder):
    """Put this process into a network with a loopback device alone, whose name server is on it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_USER | NEW_NETWORK | NEW_MOUNTS):
        raise PermissionError(os.strerror(ctypes.get_errno()))
    with socket.socket() as some:
        fcntl.ioctl(some, SET_FLAGS, GET_FLAGS_UP)
    lead_back()
    servers = os.path.join(folder, "resolv.conf")
    with open(servers, "w") as file:
        file.write("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    if libc.mount(servers.encode(), b"/etc/resolv.conf", None, BIND, None):
        raise PermissionError(os.strerror(ctypes.get_errno()))


def lead_back():
    """Route all addresses to the loopback device, where they can be seen; IPv6 has no such route and needs a name."""
    content = bytes([socket.AF_INET]) + DEFAULT + struct.pack("HHI", 8, DEVICE, LOOPBACK)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        kernel.send(struct.pack("IHHII", 16 + len(content), NEW_ROUTE, CREATE, 1, 0) + content)
        (error,) = struct.unpack_from("i", kernel.recv(4096), 16)
    if error:
        raise PermissionError(os.strerror(-error))


def listen(packets, reached):
    """Note where packets go that stay on no machine of one's own."""
    while True:
        packet = packets.recv(65535)[14:]  # behind the Ethernet header
        place = ipaddress.ip_address(packet[16:20])
        if packet[0] >> 4 == 4 and not place.is_loopback:
            reached.add(str(place))


def name_in(question):
    """The name that a DNS question asks for."""
    labels, at = [], 12
    while question[at]:
        labels.append(question[at + 1 : at + 1 + question[at]].decode())
        at += 1 + question[at]
    return ".".join(labels)


def serve(server, asked):
    """Answer every question with "no such name"."""
    while True:
        question, who = server.recvfrom(4096)
        asked.append(name_in(question))
        server.sendto(question[:2] + b"\x81\x83" + question[4:6] + bytes(6) + question[12:], who)


def main(folder, *command):
    """Run a command so."""
    user = os.getuid()
    try:
        leave_the_network(folder)
        with open("/proc/self/uid_map", "w") as file:
            file.write(f"{user} {user} 1")
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("127.0.0.1", 53))
    except OSError as error:
        print(f"no namespaces: {error}")
        return NOT_PERMITTED
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(EVERY_KIND))
    packets.bind(("lo", EVERY_KIND))
    asked, reached = [], set()
    threading.Thread(target=listen, args=(packets, reached), daemon=True).start()
    threading.Thread(target=serve, args=(server, asked), daemon=True).start()
    code = subprocess.run(command, check=False).returncode
    for name in asked:
        print(MARK + name)
    for place in sorted(reached):
        print(REACHED + place)
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

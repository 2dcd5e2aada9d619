"""The device's side of a link, by other people: PyPI `noiseprotocol` under Python's own TLS.

Arguments: HOST PORT PROLOGUE STATIC PSK HELLO, the last four in hexadecimal. Each line of input is
the plaintext of a record to send, in hexadecimal. Each line of output is what happened:
`relay KEY`, `answer PAYLOAD`, `hash HANDSHAKE-HASH`, `record PLAINTEXT`, `closed CODE TEXT`, `unproven`.
"""

import base64
import os
import select
import socket
import ssl
import struct
import sys

from cryptography.exceptions import InvalidTag
from noise.connection import Keypair, NoiseConnection

BINARY, CLOSE, PING, PONG = 2, 8, 9, 10

# The flag byte of a record after which its sender changes its key.
DATA_THEN_REKEY = 1


def say(*words):
    print(*words, flush=True)


def end(*words):
    say(*words)
    sys.exit(0)


class WebSocket:
    """RFC 6455, the little of it that is needed here."""

    def __init__(self, host, port):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self.socket = context.wrap_socket(socket.create_connection((host, port)))
        self.socket.settimeout(60)
        self.buffer = b""
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            "GET /v1/link HTTP/1.1",
            f"Host: {host}:{port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Protocol: undertone.1",
        ]
        self.socket.sendall("\r\n".join(lines + ["", ""]).encode())
        while b"\r\n\r\n" not in self.buffer:
            self.more()
        answer, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        assert answer.startswith(b"HTTP/1.1 101 "), answer

    def more(self):
        part = self.socket.recv(65536)
        if not part:
            end("closed", 0, "without a word")
        self.buffer += part

    def take(self, count):
        while len(self.buffer) < count:
            self.more()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def send(self, payload, opcode=BINARY):
        size = len(payload)
        if size < 126:
            head = struct.pack(">BB", 0x80 | opcode, 0x80 | size)
        else:
            head = struct.pack(">BBH", 0x80 | opcode, 0x80 | 126, size)
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        self.socket.sendall(head + mask + masked)

    def is_waiting(self):
        """Whether bytes are here that a select on the socket would not show."""
        return bool(self.buffer) or self.socket.pending() > 0

    def read(self):
        while True:
            first, size = self.take(2)
            if size == 126:
                (size,) = struct.unpack(">H", self.take(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", self.take(8))
            payload = self.take(size)
            opcode = first & 15
            if opcode == BINARY:
                return payload
            if opcode == CLOSE:
                (code,) = struct.unpack(">H", payload[:2])
                end("closed", code, payload[2:].decode())
            if opcode == PING:
                self.send(payload, PONG)


def main():
    host, port = sys.argv[1], int(sys.argv[2])
    prologue, static, psk, hello = (bytes.fromhex(word) for word in sys.argv[3:])
    link = WebSocket(host, port)
    noise = NoiseConnection.from_name(b"Noise_XXpsk2_25519_AESGCM_SHA256")
    noise.set_as_initiator()
    noise.set_prologue(prologue)
    noise.set_keypair_from_private_bytes(Keypair.STATIC, static)
    noise.set_psks(psk)
    noise.start_handshake()
    link.send(bytes(noise.write_message(hello)))
    try:
        answer = bytes(noise.read_message(link.read()))
    except InvalidTag:
        end("unproven")
    say("relay", noise.noise_protocol.handshake_state.rs.public_bytes.hex())
    say("answer", answer.hex())
    link.send(bytes(noise.write_message()))
    say("hash", noise.get_handshake_hash().hex())
    while True:
        if not link.is_waiting():
            readable, _, _ = select.select([link.socket, sys.stdin], [], [])
            if sys.stdin in readable:
                line = sys.stdin.readline()
                if not line:
                    return
                plaintext = bytes.fromhex(line.strip())
                link.send(bytes(noise.encrypt(plaintext)))
                if plaintext[0] == DATA_THEN_REKEY:
                    noise.rekey_outbound_cipher()
                continue
        say("record", bytes(noise.decrypt(link.read())).hex())


main()

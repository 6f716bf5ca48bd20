# SPDX-License-Identifier: GPL-2.0-or-later
"""luks_crypt.py CIPHER KEYFILE SECTOR-LENGTH FIRST-SECTOR: decrypts standard input.

A second implementation of sectors, on python3-cryptography (OpenSSL): the judge for
ciphers that cryptsetup cannot use here without the kernel's device-mapper.
"""
import hashlib
import sys
import warnings

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

warnings.simplefilter("ignore")
try:  # where the library keeps ciphers that went out of fashion
    from cryptography.hazmat.decrepit.ciphers.algorithms import CAST5, Camellia
except ImportError:
    from cryptography.hazmat.primitives.ciphers.algorithms import CAST5, Camellia

ALGORITHMS = {"aes": algorithms.AES, "camellia": Camellia, "cast5": CAST5}


def crypt(alg, mode, data):
    d = Cipher(alg, mode).decryptor()
    return d.update(data) + d.finalize()


def main():
    name, mode, iv_name = sys.argv[1].split("-")
    key = open(sys.argv[2], "rb").read()
    length, sector = int(sys.argv[3]), int(sys.argv[4])
    algorithm = ALGORITHMS[name]
    block = algorithm.block_size // 8
    while data := sys.stdin.buffer.read(length):
        number = sector & 0xffffffff if iv_name == "plain" else sector
        iv = number.to_bytes(8, "little").ljust(block, b"\0")
        if iv_name.startswith("essiv:"):
            salt = hashlib.new(iv_name[6:], key).digest()
            e = Cipher(algorithm(salt), modes.ECB()).encryptor()
            iv = e.update(iv) + e.finalize()
        sys.stdout.buffer.write(crypt(algorithm(key), {"xts": modes.XTS, "cbc": modes.CBC}[mode](iv),
                                      data))
        sector += length // 512


main()

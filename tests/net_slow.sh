#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A slow uplink: what is written fills it and no more. Reads and heartbeats do not wait behind
# megabytes, so that the connection stays, and when it breaks all the same what has been carried
# for seconds is not sent again.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/sshd_fixture.sh"
need_fuse; need_sshd; need python3
rate=250000 remote=$scratch/remote.img config=$scratch/config
head -c 32M /dev/urandom >"$remote"
sshd_up s subsystem=external
net_up s "${sshd_port[s]}" 10
sshd_config s >"$config"
"$FUSE4FS" -f --export-device -o "ssh_config=$config" "s:$remote" "$mnt" >"$scratch/server.log" 2>&1 &
server=$!
for _ in $(seq 400); do mountpoint -q "$mnt" && break; sleep 0.05; done
mountpoint -q "$mnt" || fail "no export"
status() { timeout 10 "$FUSE4FS" --status --json "$mnt" | sed -nE "s/.*\"$1\": *\"?([^\",]*)\"?,?.*/\1/p"; }

# load LEN SEED: writes and syncs, and reads here and there meanwhile. "SECONDS LONGEST-READ"
load() {
	timeout 60 python3 - "$mnt/device" "$1" "$2" <<-'P'
		import os, random, sys, threading, time
		dev = os.open(sys.argv[1], os.O_RDWR)
		size = int(sys.argv[2])
		data = random.Random(sys.argv[3]).randbytes(size)
		done, longest = threading.Event(), 0

		def reader():
		    global longest
		    off = 8 << 20	# far apart: nothing is read ahead
		    while not done.wait(0.7):
		        start = time.monotonic()
		        os.pread(dev, 4096, off)
		        longest = max(longest, time.monotonic() - start)
		        off += 1 << 20

		thread = threading.Thread(target=reader)
		thread.start()
		start = time.monotonic()
		for off in range(0, size, 1 << 18):
		    os.pwrite(dev, data[off:off + (1 << 18)], off)
		os.fsync(dev)
		took = time.monotonic() - start
		done.set()
		thread.join()
		with open(os.environ["REMOTE"], "rb") as f:
		    assert f.read(size) == data, "not what was written"
		print(f"{took:.1f} {longest:.1f}")
	P
}
export REMOTE=$remote

sleep 1	# what is read ahead at the start
net s rate $rate >/dev/null
net s reset >/dev/null
read -r took longest <<<"$(load 1500000 1)"
echo "1.5 MB at 250 KB/s: $took s, the longest read $longest s, $(net s stats)"
[ "${took:-x}" != x ] || { cat "$scratch/server.log" >&2; fail "write and fsync"; }
[ "${took%.*}" -lt 13 ] || fail "the link was not used: $took s"
[ "${longest%.*}" -lt 4 ] || fail "a read waited $longest s behind writes"
[ "$(status reconnects)" = 0 ] || { cat "$scratch/server.log" >&2; fail "the connection was lost"; }

net s reset >/dev/null
load 2200000 2 >"$scratch/out" &
work=$!
sleep 7
net s cut >/dev/null
wait $work || { cat "$scratch/server.log" >&2; fail "write and fsync over a cut"; }
sent=$(net s stats | sed -nE 's/.* up ([0-9]+).*/\1/p')
echo "2.2 MB with a cut: $(cut -d' ' -f1 "$scratch/out") s, $sent bytes sent"
[ "$(status reconnects)" = 1 ] || fail "no cut"
# All again would be 3.9 MB.
[ "$sent" -lt 3600000 ] || fail "$sent bytes were sent for 2200000"
net s rate 0 >/dev/null
timeout 20 "$FUSE4FS" -u "$mnt" || fail "-u"
wait $server || fail "the server ended with status $?"

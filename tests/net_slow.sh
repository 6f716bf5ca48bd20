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
for _ in $(seq 1200); do mountpoint -q "$mnt" && break; sleep 0.05; done
mountpoint -q "$mnt" || fail "no export"
status() { timeout 10 "$FUSE4FS" --status --json "$mnt" | sed -nE "s/.*\"$1\": *\"?([^\",]*)\"?,?.*/\1/p"; }

# load LEN SEED: writes and syncs, and reads here and there meanwhile. Prints the seconds, and how
# many bytes at most have passed the link while a read waited.
load() {
	timeout 120 python3 - "$mnt/device" "$1" "$2" "$sshd_dir/net-s" <<-'P'
		import os, random, re, socket, sys, threading, time
		dev = os.open(sys.argv[1], os.O_RDWR)
		size = int(sys.argv[2])
		data = random.Random(sys.argv[3]).randbytes(size)
		done, longest = threading.Event(), 0

		def passed():
		    with socket.socket(socket.AF_UNIX) as s:
		        s.connect(sys.argv[4])
		        s.send(b"stats")
		        return int(re.search(rb"passed (\d+)", s.recv(256))[1])

		def reader():
		    global longest
		    off = 8 << 20	# far apart: nothing is read ahead
		    while not done.wait(0.7):
		        before = passed()
		        os.pread(dev, 4096, off)
		        longest = max(longest, passed() - before)
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
		print(f"{took:.1f} {longest}")
	P
}
export REMOTE=$remote
stat_of() { net s stats | sed -E "s/.*\b$1 ([0-9]+).*/\1/"; }

sleep 1	# what is read ahead at the start
net s rate $rate >/dev/null
# A machine that stands still for seconds is no link that does: who sends megabytes ahead does so
# each time.
for try in 1 2 3; do
	net s reset >/dev/null
	read -r took longest <<<"$(load 1500000 $try)"
	echo "1.5 MB at 250 KB/s: $took s, at most $longest bytes before a read, $(net s stats)"
	[ "${took:-x}" != x ] || { cat "$scratch/server.log" >&2; fail "write and fsync"; }
	[ "${took%.*}" -ge 13 ] || [ "$longest" -ge 1000000 ] || break
done
[ "${took%.*}" -lt 13 ] || fail "the link was not used: $took s"
[ "$longest" -gt 0 ] && [ "$longest" -lt 1000000 ] || fail "a read waited behind $longest bytes"
[ "$(status reconnects)" = 0 ] || { cat "$scratch/server.log" >&2; fail "the connection was lost"; }

net s reset >/dev/null
load 2200000 9 >"$scratch/out" &
work=$!
# Some of it has been carried by then, and is not all.
await 60 eval '[ "$(stat_of up)" -gt 1900000 ]' || fail "not sent: $(net s stats)"
net s cut >/dev/null
before=$(stat_of up)
wait $work || { cat "$scratch/server.log" >&2; fail "write and fsync over a cut"; }
await 60 eval '[ "$(status reconnects)" -ge 1 ]'
sent=$(($(stat_of up) - before))
echo "2.2 MB with a cut: $(cut -d' ' -f1 "$scratch/out") s, $before bytes sent before and $sent after it"
[ "$(status reconnects)" = 1 ] || fail "no cut"
# All again would be 2.2 MB.
[ "$sent" -lt 1600000 ] || fail "$sent of 2200000 bytes were sent after $before had been"
net s rate 0 >/dev/null
timeout 120 "$FUSE4FS" -u "$mnt" || fail "-u"
wait $server || fail "the server ended with status $?"

#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# kill -9 of the server under load, again and again: whatever was synced is there, and the
# same image is recovered by us, by the kernel and by e2fsck. CRASH_KILLS=n (4) times.
. "$(dirname "$0")/lib.sh"
need_fuse
need python3 e2fsck
kills=${CRASH_KILLS:-4}
seed=${CRASH_SEED:-$$}
[ -c /dev/loop-control ] && kernel=y || kernel=

# Four processes; a line in the oracle for each fsync that returned.
load() {
	python3 - "$mnt" "$1" "$scratch/oracle" <<'END'
import hashlib, os, random, sys
mnt, seed, oracle = sys.argv[1], sys.argv[2], sys.argv[3]
for k in range(4):
    if os.fork() == 0:
        rnd = random.Random("%s.%d" % (seed, k))
        d = "%s/p%d" % (mnt, k)
        log = open("%s.%d" % (oracle, k), "a")
        try:
            os.makedirs(d, exist_ok=True)
            n = 0
            while True:
                n += 1
                name = "%s/f%d" % (d, rnd.randrange(30))
                what = rnd.randrange(10)
                if what < 6:
                    data = bytes([rnd.randrange(1, 256)]) * rnd.randrange(1, 40000)
                    tmp = name + ".tmp"
                    with open(tmp, "wb") as f:
                        f.write(data)
                        os.fsync(f.fileno())
                    log.write("- %s\n" % name); log.flush()
                    os.rename(tmp, name)
                    fd = os.open(d, os.O_RDONLY)
                    os.fsync(fd)
                    os.close(fd)
                    log.write("%s %s\n" % (hashlib.md5(data).hexdigest(), name)); log.flush()
                elif what < 8 and os.path.exists(name):
                    log.write("- %s\n" % name); log.flush()
                    os.unlink(name)
                else:
                    sub = "%s/d%d" % (d, n)
                    os.mkdir(sub)
                    for i in range(20):
                        os.symlink("x" * rnd.randrange(1, 200), "%s/%d" % (sub, i))
                    for i in range(20):
                        os.unlink("%s/%d" % (sub, i))
                    os.rmdir(sub)
        except OSError:
            os._exit(0)
for k in range(4):
    os.wait()
END
}

# Of each name the last word counts: "-" means anything may be there.
check_oracle() {
	cat "$scratch"/oracle.* 2>/dev/null | python3 -c '
import hashlib, sys
root, last = sys.argv[1], {}
for line in sys.stdin:
    digest, name = line.split()
    last[name] = digest
for name, digest in last.items():
    if digest == "-": continue
    path = root + name[len(sys.argv[2]):]
    data = open(path, "rb").read()
    if hashlib.md5(data).hexdigest() != digest:
        sys.exit("%s: not what was synced" % name)
' "$1" "$mnt"
}

img 64M -t ext4 -b 1024 -J size=1
i=0
while [ $i -lt "$kills" ]; do
	i=$((i + 1))
	serve || fail "mount $i"
	load "$seed.$i" &
	load=$!
	sleep "$(awk -v s="$seed$i" 'BEGIN { srand(s); print 0.5 + rand() * 1.5 }')"
	kill -9 "$server"
	wait "$server" 2>/dev/null
	wait "$load"
	umount -l "$mnt"
	plain_copy "$scratch/e2fsck.img"
	e2fsck -fp "$scratch/e2fsck.img" >"$scratch/e2fsck.log" 2>&1
	[ $? -le 1 ] || { cat "$scratch/e2fsck.log"; fail "round $i, seed $seed: e2fsck"; }
	if [ "$kernel" ]; then
		plain_copy "$scratch/kernel.img"
		mount -o loop "$scratch/kernel.img" "$kmnt" || fail "round $i, seed $seed: kernel"
		check_oracle "$kmnt" || fail "round $i, seed $seed: kernel's recovery"
		umount "$kmnt"
		e2fsck -fn "$scratch/kernel.img" >"$scratch/e2fsck.log" 2>&1 ||
			{ cat "$scratch/e2fsck.log"; fail "round $i, seed $seed: after the kernel"; }
	fi
	serve || fail "round $i, seed $seed: recovery"
	check_oracle "$mnt" || fail "round $i, seed $seed: our recovery"
	unserve
	clean_image
	rm -f "$scratch"/oracle.*
done
exit 0

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A command with a mount of its own (--private), as root and as a user; servers that end with
# their parent (--die-with-parent). Every end is a clean one.
. "$(dirname "$0")/lib.sh"
need_fuse; own_namespace

private() { ( background "$@" ) }
background() { exec "$FUSE4FS" --private "${@:1:$(($# - 1))}" "$image" "$mnt" -- bash -c "${!#}" -- "$mnt"; }
no_server() { ! pgrep -f -- "fuse4fs .*$scratch/" >/dev/null; }
ended() { # nothing is left of it, and the image is whole
	await 60 no_server || fail "$1: a process was left behind"
	grep -q " $mnt " /proc/self/mounts && fail "$1: the mount is visible outside"
	clean_image
}
seen() { debugfs -R "cat $1" "$image" 2>/dev/null; }

# A command that runs, in its mount and with its traps, makes $scratch/up, outside the mount.
up() {
	await 60 test -e "$scratch/up" || fail "the command does not run"
	rm -f "$scratch/up"
}
# A process has a child: it has been watching its parent and catching signals before.
has_child() { pgrep -P "$1" >/dev/null; }
export -f await has_child

trial() { # who runs it
	img 32M -t ext4 -E root_owner
	chmod 666 "$image"
	chmod 777 "$mnt"
	private "echo $1 >\$1/file && grep -q ' $mnt fuse.fuse4fs' /proc/self/mounts" || fail "$1: status $?"
	ended "$1"
	[ "$(seen /file)" = "$1" ] || fail "$1: what the command wrote is not in the image"
	private 'exit 42'; [ $? = 42 ] || fail "$1: exit status"
	private 'kill -KILL $$'; [ $? = 137 ] || fail "$1: status of a signal"
	"$FUSE4FS" --private "$image" "$mnt" -- "$scratch/none" 2>/dev/null; [ $? = 127 ] || fail "$1: 127"
	"$FUSE4FS" --private "$image" "$mnt" -- "$image" 2>/dev/null; [ $? = 126 ] || fail "$1: 126"
	private -o ro 'touch $1/x' 2>/dev/null && fail "$1: ro was written"
	"$FUSE4FS" --private "$scratch/none" "$mnt" -- true 2>/dev/null; [ $? = 32 ] || fail "$1: no image"
	ended "$1"
	# The caller's descriptors are the command's, and those that we are told of ours.
	exec 8<>"$image" 9>"$scratch/passed"
	(exec "$FUSE4FS" --private fd:8 "$mnt" -- bash -c 'echo kept >&9; ! { : <&8; } 2>/dev/null && flock 9 && echo >$1/9' -- "$mnt") ||
		fail "$1: descriptors of the command"
	exec 8>&- 9>&-
	[ "$(cat "$scratch/passed")" = kept ] || fail "$1: the command lost a descriptor"
	ended "$1, descriptors"
	# What it leaves running writes nowhere.
	private 'setsid sh -c "sleep 2; echo x >\$1/left" sh "$1" 2>/dev/null & :' || fail "$1: leaves something running"
	sleep 2.5
	[ -z "$(ls -A "$mnt")" ] || fail "$1: written below the mount"
	# Killed itself: the command and the mount go, too.
	background 'echo late >$1/late; exec sleep 100' &
	p=$!
	await 60 pgrep -P "$p" -x sleep >/dev/null
	kill -9 "$p"
	{ wait "$p"; } 2>/dev/null
	ended "$1, killed"
	[ "$(seen /late)" = late ] || fail "$1: written before the kill, and lost"
	# A command that takes its time to end has its mount until then.
	background 'trap "sleep 1; echo more >\$1/more; exit" TERM; : >$1/../up; while :; do sleep 0.1; done' &
	p=$!
	up
	kill -9 "$p"
	{ wait "$p"; } 2>/dev/null
	ended "$1, killed with a patient command"
	[ -z "$(ls -A "$mnt")" ] || fail "$1: written below the mount"
	[ "$(seen /more)" = more ] || fail "$1: written after the kill, and lost"
	# A signal is for the command.
	background 'trap "exit 7" TERM; : >$1/../up; while :; do sleep 0.1; done' &
	p=$!
	up
	kill "$p"
	wait "$p"; [ $? = 7 ] || fail "$1: the signal was not passed on"
	for sig in USR1 USR2 ALRM RTMIN+3; do
		background "trap 'exit 9' $sig; : >\$1/../up; while :; do sleep 0.1; done" &
		p=$!
		up
		kill -$sig "$p"
		wait "$p"; [ $? = 9 ] || fail "$1: SIG$sig was not passed on"
	done
	# The parent's death ends it, too, unless it was told to live on.
	bash -c 'env --default-signal=HUP "$0" --private "$1" "$2" -- bash -c "
			trap \"echo t >$2/told; exit\" TERM; : >$2/../up; while :; do sleep 0.1; done" &
		await 60 test -e "$2/../up"' "$FUSE4FS" "$image" "$mnt"
	up
	ended "$1, parent"
	[ "$(seen /told)" = t ] || fail "$1: the command was not told of its parent's end"
	bash -c 'env --ignore-signal=HUP "$0" --private "$1" "$2" -- sh -c ": >$2/../up
			while kill -0 $$ 2>/dev/null; do sleep 0.1; done; sleep 1; echo t >$2/nohup" &
		await 60 test -e "$2/../up"' "$FUSE4FS" "$image" "$mnt"
	up
	ended "$1, nohup"
	[ "$(seen /nohup)" = t ] || fail "$1: nohup had no effect"
	# With --die-with-parent that kills it.
	bash -c '"$0" --die-with-parent --private "$1" "$2" -- \
			bash -c "echo x >$2/died; : >$2/../up; exec sleep 100" &
		await 60 test -e "$2/../up"' "$FUSE4FS" "$image" "$mnt"
	up
	ended "$1, parent"
	[ "$(seen /died)" = x ] || fail "$1: written before the parent died, and lost"
}

trial root
[ -z "$(ls -A "$mnt")" ] || fail "the mount point is not empty outside"
if command -v setpriv >/dev/null && ! in_chroot; then

	mknod "$scratch/fuse" c 10 229 && chmod 666 "$scratch/fuse" || fail "mknod"
	export -f private background no_server ended seen up trial img adopt fail clean_image \
		plain_copy
	export scratch image mnt FUSE4FS
	chmod -R a+rwX "$scratch"
	unshare -m bash -c 'mount --bind "$scratch/fuse" /dev/fuse && exec setpriv --reuid 65534 --regid 65534 \
		--clear-groups bash -c "trial user"' || exit 1

	# Told to end when there is a mount but nobody serves it yet: this fusermount3 tells it.
	if [ -u "$(command -v fusermount3 || echo /)" ]; then
		img 32M -t ext4
		chmod 666 "$image"
		export -f telling_fusermount
		unshare -m bash -c 'telling_fusermount TERM && exec setpriv --reuid 65534 --regid 65534 \
			--clear-groups "$FUSE4FS" -f "$image" "$mnt"' ||
			fail "told to end by fusermount3: status $?"
		await 60 test -s "$scratch/told" || fail "fusermount3 has not told it to end"
		ended "told to end by fusermount3"
	fi
fi

# The device itself.
img 32M -t ext4
size=$("$FUSE4FS" --private --export-device "$image" "$mnt" -- stat -c %s "$mnt/device") && [ "$size" = $((32 << 20)) ] ||
	fail "--private --export-device: $size"

# While it waits for the image it can be told to end, and hears of its parent's end.
"$FUSE4FS" "$image" "$mnt" || fail "mount"
mkdir "$scratch/second"
none_waits() { ! pgrep -f -- "fuse4fs .*$scratch/second" >/dev/null; }
# Less than the 15 seconds for which the image is waited for.
gone() { await 10 none_waits || fail "$1 while waiting: goes on"; }
for sig in TERM INT HUP; do
	env --default-signal=INT,HUP "$FUSE4FS" --private "$image" "$scratch/second" -- touch "$scratch/ran" 2>"$scratch/err" &
	p=$!
	await 60 has_child "$p" || fail "SIG$sig while waiting: nothing to wait with"
	kill -$sig "$p"
	gone "SIG$sig"
	wait "$p"; [ $? = 8 ] || fail "SIG$sig while waiting: status"
	[ ! -s "$scratch/err" ] && [ ! -e "$scratch/ran" ] || fail "SIG$sig while waiting: $(cat "$scratch/err")"
done
for how in "" -f --private; do
	bash -c 'command=; [ "$3" != --private ] || command="-- true"
		"$0" --die-with-parent $3 "$1" "$2" $command &
		await 60 has_child $!' "$FUSE4FS" "$image" "$scratch/second" "$how" 2>/dev/null
	gone "--die-with-parent $how"
done
# The end of the thread that started it is not its parent's.
python3 -I - "$FUSE4FS" "$image" "$scratch/second" "$mnt" <<'P' || fail "a parent whose thread ended"
import os, subprocess, sys, threading, time
started = []
def start():
    started.append(subprocess.Popen([sys.argv[1], "-f", "--die-with-parent", *sys.argv[2:4]]))
    for _ in range(1200):  # a child of its own: it has asked for the signal
        if subprocess.call(["pgrep", "-P", str(started[0].pid)], stdout=subprocess.DEVNULL) == 0:
            break
        time.sleep(0.05)
thread = threading.Thread(target=start)
thread.start()
thread.join()
while len(os.listdir("/proc/self/task")) > 1:
    time.sleep(0.01)
subprocess.check_call(["umount", sys.argv[4]])
for _ in range(600):
    if started[0].poll() is not None or os.path.ismount(sys.argv[3]):
        break
    time.sleep(0.1)
assert os.path.ismount(sys.argv[3])
os.listdir(sys.argv[3])  # it serves
P
gone "--die-with-parent after its thread"
ended "waiting"

# Interrupted at the prompt, as without --private.
if command -v cryptsetup >/dev/null; then
	container "$scratch/luks" $((32 << 20))
	typed 8 ^C "$FUSE4FS" --private "$scratch/luks" "$mnt" -- true >"$scratch/out" || { cat "$scratch/out" >&2; fail "prompt"; }
fi

# In the background and in the foreground.
img 32M -t ext4
for f in "" -f; do
	bash -c '"$0" --die-with-parent $3 "$1" "$2" &
		await 60 mountpoint -q "$2"; echo text >"$2/by-child$3"' "$FUSE4FS" "$image" "$mnt" "$f"
	ended "die-with-parent $f"
	[ "$(seen "/by-child$f")" = text ] || fail "die-with-parent $f: lost"
done
exit 0

#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# In containers: one that has /dev/fuse and a user namespace; one that has two descriptors, of
# the image and of a mount made outside, and nothing else; layers as Apptainer stacks them.
. "$(dirname "$0")/lib.sh"
need_fuse; own_namespace
need bwrap python3
unshare -Ur true 2>/dev/null || skip "no user namespaces here"

gone() {
	for _ in $(seq 600); do pgrep -f -- "fuse4fs .*$scratch/" >/dev/null || return 0; sleep 0.1; done
	fail "$1: the server did not end"
}
# The libraries the program needs, wherever they are, and the program.
own=(--ro-bind /usr /usr --symlink usr/lib /lib --symlink usr/lib64 /lib64 --symlink usr/bin /bin
	--ro-bind "$FUSE4FS" /fuse4fs)

img 32M -t ext4
bwrap --unshare-all --uid 0 --gid 0 --cap-add CAP_SYS_ADMIN "${own[@]}" --proc /proc --dev /dev \
	--dev-bind /dev/fuse /dev/fuse --bind "$scratch" /c sh -c \
	'/fuse4fs /c/img /c/mnt && echo inside >/c/mnt/inside && cat /c/mnt/inside >/c/out && /fuse4fs --status /c/mnt >/c/status && /fuse4fs -u /c/mnt' ||
	fail "a container with /dev/fuse: status $?"
[ "$(cat "$scratch/out")" = inside ] || fail "a container with /dev/fuse: nothing was served"
grep -q 'capabilities none, no_new_privs yes, seccomp yes' "$scratch/status" ||
	fail "its sandbox: $(grep sandbox "$scratch/status")"
gone "a container with /dev/fuse"
clean_image

# Outside mounts and hands over two descriptors; the container has no file, no /proc, no
# capability, no network, another user.
# The leak checker of a sanitized build needs /proc at the end, and fails.
sanitized=$(nm "$FUSE4FS" 2>/dev/null | grep -cE '__(asan|tsan)_init')
python3 -I - "$sanitized" "$image" "$mnt" "${own[@]}" <<'P' || fail "a container with descriptors only"
import ctypes, os, subprocess, sys
sanitized, image, mnt, own = sys.argv[1] != "0", sys.argv[2], sys.argv[3], sys.argv[4:]
libc = ctypes.CDLL(None, use_errno=True)
fuse, img = os.open("/dev/fuse", os.O_RDWR), os.open(image, os.O_RDWR)
data = b"fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions" % fuse
assert libc.mount(b"x", mnt.encode(), b"fuse.fuse4fs", 0, data) == 0, ctypes.get_errno()
server = subprocess.Popen(["bwrap", "--unshare-all", "--uid", "65534", "--cap-drop", "ALL", *own,
                           "/fuse4fs", "-f", f"fd:{img}", f"/dev/fd/{fuse}"], pass_fds=[fuse, img],
                          stderr=subprocess.DEVNULL)
os.close(fuse)
os.close(img)
with open(mnt + "/by-descriptor", "w") as f:
    f.write("text\n")
assert sorted(os.listdir(mnt)) == ["by-descriptor", "inside", "lost+found"]
assert libc.umount2(mnt.encode(), 0) == 0
assert server.wait(60) == 0 or sanitized
P
clean_image
[ "$(debugfs -R 'cat /by-descriptor' "$image" 2>/dev/null)" = text ] || fail "written by descriptor, and lost"

# A read-only image below, a writable one above; both end with the shell.
mkdir -p "$scratch/tree/dir" "$scratch/low" "$scratch/high" "$scratch/both"
echo low >"$scratch/tree/file" && echo low >"$scratch/tree/dir/gone"
img 32M -t ext4 -d "$scratch/tree"
mv "$image" "$scratch/low.img"
img 32M -t ext4
sum=$(md5sum <"$scratch/low.img")
cat >"$scratch/stack" <<'S'
set -e
"$FUSE4FS" --die-with-parent -o ro "$scratch/low.img" "$scratch/low"
"$FUSE4FS" --die-with-parent "$image" "$scratch/high"
mkdir -p "$scratch/high/upper" "$scratch/high/work"
mount -t overlay -o userxattr,lowerdir="$scratch/low",upperdir="$scratch/high/upper",workdir="$scratch/high/work" \
	overlay "$scratch/both" || exit 77
echo high >>"$scratch/both/file" && rm "$scratch/both/dir/gone" && echo new >"$scratch/both/dir/new"
[ "$(cat "$scratch/both/file")" = "low
high" ] && [ "$(ls "$scratch/both/dir")" = new ]
umount "$scratch/both"
S
export scratch image
unshare -Urm sh "$scratch/stack"
status=$?
gone "layers"
[ "$(md5sum <"$scratch/low.img")" = "$sum" ] || fail "the lower layer was changed"
clean_image
[ $status = 77 ] && skip "this kernel's overlayfs takes no FUSE as the upper layer"
[ $status = 0 ] || fail "layers: status $status"
[ "$(debugfs -R 'cat /upper/dir/new' "$image" 2>/dev/null)" = new ] || fail "layers: lost"
exit 0

# SPDX-License-Identifier: GPL-2.0-or-later
# A real sshd on the loopback with its own configuration and throw-away keys, and a bad
# network in front of it. Source it after lib.sh, whose $scratch it uses.
#
#   sshd_up NAME [KEY=VALUE...]   starts a server; below it is called NAME
#       subsystem=internal|external|readonly|none|COMMAND   (internal)
#       command=COMMAND        ForceCommand
#       chroot=DIR             DIR becomes the server's root; needs root
#       sessions=N             MaxSessions
#       password=WORD          the user may log in with it; needs root
#       kbdint=WORD            the same, keyboard-interactive only; needs root
#       home=DIR               the user's home directory; needs root
#       line=LINE              any line of sshd_config; several times
#       host=hostkey FILE      another host key than the usual one
#     gives ${sshd_port[NAME]}, $sshd_dir/NAME/known_hosts, and the user's key $sshd_key
#   sshd_config NAME [LINE...]    prints an ssh_config that reaches NAME as host NAME
#   sshd_kill NAME [SIGNAL]       ends it with every session (KILL: at once)
#   sshd_again NAME               starts it again, on the same port
#   sshd_servers NAME             process numbers of its sftp servers and sessions
#   sftp_servers NAME             of its programs sftp-server
#   ended PID...                  none of them runs any more
#   net_up NAME PORT [DELAY-MS [RATE]]   a proxy before PORT: gives ${net_port[NAME]}
#   net NAME COMMAND [ARGUMENT]   what tests/netproxy.c says: cut, freeze, refuse, resume ...
declare -A sshd_port sshd_pid net_port net_pid
sshd_dir=$scratch/ssh
sshd_key=$sshd_dir/id
sshd_user=$(id -un)
netproxy=${BUILDDIR:-${top_builddir:-.}}/tests/netproxy
sshd_program=$(command -v sshd || echo /usr/sbin/sshd)
sftp_server=$(for f in /usr/lib/openssh /usr/libexec/openssh /usr/lib/ssh /usr/libexec; do
	[ ! -x $f/sftp-server ] || echo $f/sftp-server; done | head -n 1)

need_sshd() {
	need ssh ssh-keygen python3
	need_own_mounts
	[ -x "$sshd_program" ] && [ -n "$sftp_server" ] || skip "openssh-server is not installed"
	[ -x "$netproxy" ] || skip "tests/netproxy has not been built"
}

mkdir -p "$sshd_dir"
# Nothing of the user's own: no agent, no keys.
unset SSH_AUTH_SOCK SSH_ASKPASS DISPLAY
exec {fixture_hold}<><(:)

# One that nobody has waited for does not run any more, either.
ended() { ! ps -o stat= -p "$*" 2>/dev/null | grep -qv '^Z'; }

free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# wait_port PORT PID: until somebody listens; fails when PID is gone.
wait_port() {
	for _ in $(seq 1200); do
		(: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return 0
		kill -0 "$2" 2>/dev/null || return 1
		sleep 0.05
	done
	return 1
}

ssh_key() { [ -f "$1" ] || ssh-keygen -q -t "${3:-ed25519}" -N "${2-}" -C test -f "$1" || fail "ssh-keygen"; }

# The lines of sshd_config that KEY=VALUE stands for.
sshd_line() {
	case $1 in
	subsystem=internal) echo "Subsystem sftp internal-sftp" ;;
	subsystem=external) echo "Subsystem sftp $sftp_server" ;;
	subsystem=readonly) echo "Subsystem sftp $sftp_server -R" ;;
	subsystem=none) ;;
	subsystem=*) echo "Subsystem sftp ${1#*=}" ;;
	command=*) echo "ForceCommand ${1#*=}" ;;
	sessions=*) echo "MaxSessions ${1#*=}" ;;
	chroot=*) echo "ChrootDirectory /mnt" ;;
	password=*) echo "PasswordAuthentication yes" ;;
	kbdint=*) printf '%s\n' "UsePAM yes" "KbdInteractiveAuthentication yes" ;;
	line=*) echo "${1#*=}" ;;
	home=*) ;;
	host=*) echo "HostKey ${1#*=}" ;;
	*) fail "sshd_up: $1?" ;;
	esac
}

sshd_write_config() { # NAME KEY=VALUE...
	local dir=$sshd_dir/$1
	shift
	{
		# The first of several lines counts.
		for a in "$@"; do sshd_line "$a"; done
		case " $* " in *" subsystem="*) ;; *) sshd_line subsystem=internal ;; esac
		cat <<-END
			ListenAddress 127.0.0.1
			HostKey $sshd_dir/host
			AuthorizedKeysFile $sshd_dir/authorized
			PidFile none
			StrictModes no
			PermitRootLogin yes
			PubkeyAuthentication yes
			PasswordAuthentication no
			KbdInteractiveAuthentication no
			UsePAM no
			UseDNS no
			MaxStartups 100
		END
		# Since 9.8 who fails to log in is not heard for a while.
		! grep -qi persourcepenalties "$sshd_program" || echo "PerSourcePenalties no"
	} >"$dir/sshd_config"
}

# As root in a mount namespace of its own, where a password, a jail and a shell that does not read
# the user's start-up files disturb nobody. Mounts there are at that time are given up there, or
# their copies would keep them alive.
sshd_write_start() { # NAME KEY=VALUE...
	local dir=$sshd_dir/$1 a hash home=
	shift
	{
		for a in "$@"; do case $a in home=*) home=${a#*=} ;; esac; done
		if [ "$(id -u)" = 0 ]; then
			awk -F: -v OFS=: -v u="$sshd_user" -v h="$home" \
				'$1 == u { $7 = "/bin/sh"; if (h != "") $6 = h } { print }' /etc/passwd >"$dir/passwd"
			echo "mkdir -p /run/sshd"
			echo "awk '\$3 ~ /^fuse/ { print \$2 }' /proc/self/mounts | xargs -r umount -l"
			echo "mount --bind '$dir/passwd' /etc/passwd"
		fi
		for a in "$@"; do case $a in
		chroot=*) echo "mount --bind '${a#*=}' /mnt" ;;
		password=* | kbdint=*)
			hash=$(perl -e 'print crypt($ARGV[0], "\$6\$fixture")' "${a#*=}")
			awk -F: -v OFS=: -v u="$sshd_user" -v h="$hash" \
				'$1 == u { $2 = h } { print }' /etc/shadow >"$dir/shadow"
			chmod 600 "$dir/shadow"
			echo "mount --bind '$dir/shadow' /etc/shadow"
			;;
		esac; done
		echo "exec '$sshd_program' -D -f '$dir/sshd_config' -E '$dir/log' -p \"\$1\""
	} >"$dir/start"
}

# sshd_listens NAME PORT: it, and nobody else who was given that port; fails when it has ended.
sshd_listens() {
	for _ in $(seq 1200); do
		! grep -q "^Server listening on 127.0.0.1 port $2\." "$sshd_dir/$1/log" || return 0
		! ended "${sshd_pid[$1]}" || return 1
		sleep 0.05
	done
	return 1
}

sshd_launch() { # NAME PORT
	local start=$sshd_dir/$1/start
	: >"$sshd_dir/$1/log"
	if [ "$(id -u)" = 0 ]; then
		unshare -m sh "$start" "$2" &
	else
		sh "$start" "$2" &
	fi 2>"$sshd_dir/$1/start.log"
	sshd_pid[$1]=$!
	sshd_listens "$1" "$2" || { sshd_kill "$1"; return 1; }
	sshd_port[$1]=$2
}

sshd_up() {
	local name=$1 dir=$sshd_dir/$1 key
	mkdir -p "$dir"
	ssh_key "$sshd_dir/host"
	ssh_key "$sshd_key"
	cp "$sshd_key.pub" "$sshd_dir/authorized"
	sshd_write_config "$@"
	sshd_write_start "$@"
	for _ in 1 2 3 4 5; do
		! sshd_launch "$name" "$(free_port)" || break
	done
	[ -n "${sshd_port[$name]-}" ] || { cat "$dir/log" "$dir/start.log" >&2; fail "sshd does not start"; }
	key=$(sed -n 's/^HostKey //p' "$dir/sshd_config" | head -n 1)
	echo "[127.0.0.1]:${sshd_port[$name]} $(cut -d' ' -f1,2 "$key.pub")" >"$dir/known_hosts"
}

sshd_config() { # NAME [LINE...]
	printf '%s\n' "Host $1" "  HostName 127.0.0.1" "  Port ${net_port[$1]-${sshd_port[$1]}}" \
		"  User $sshd_user" "  IdentityFile $sshd_key" \
		"  UserKnownHostsFile $sshd_dir/$1/known_hosts" "  GlobalKnownHostsFile /dev/null"
	shift
	[ $# = 0 ] || printf '  %s\n' "$@"
}

# All descendants, children first.
process_tree() {
	local p
	for p in $(pgrep -P "$1"); do process_tree "$p"; done
	echo "$1"
}
sshd_servers() { process_tree "${sshd_pid[$1]}" | grep -vx "${sshd_pid[$1]}"; }
sftp_servers() {
	ps -o pid=,stat=,comm= -p "$(sshd_servers "$1" | paste -sd,)" 2>/dev/null |
		awk '$3 == "sftp-server" && $2 !~ /^Z/ { print $1 }'
}

sshd_kill() { # NAME [SIGNAL]
	# shellcheck disable=SC2046
	kill -"${2:-KILL}" $(process_tree "${sshd_pid[$1]}") 2>/dev/null
	wait "${sshd_pid[$1]}" 2>/dev/null
	unset "sshd_pid[$1]"
}

sshd_again() { # NAME
	for _ in $(seq 300); do
		sshd_launch "$1" "${sshd_port[$1]}" && return 0
		sleep 0.1
	done
	fail "sshd does not start again"
}

net_up() { # NAME PORT [DELAY-MS [RATE]]
	local name=$1
	shift
	[ -z "${net_pid[$name]-}" ] || kill "${net_pid[$name]}" 2>/dev/null
	rm -f "$sshd_dir/net-$name.port"
	mkfifo "$sshd_dir/net-$name.port"
	"$netproxy" "$sshd_dir/net-$name" "$@" >"$sshd_dir/net-$name.port" <&"$fixture_hold" &
	net_pid[$name]=$!
	read -r -t 60 "net_port[$name]" <"$sshd_dir/net-$name.port" || fail "netproxy does not start"
	# A server's host key is known under the proxy's port, too.
	[ ! -f "$sshd_dir/$name/known_hosts" ] ||
		sed -n "1s/]:[0-9]*/]:${net_port[$name]}/p" "$sshd_dir/$name/known_hosts" \
			>>"$sshd_dir/$name/known_hosts.new" &&
		cat "$sshd_dir/$name/known_hosts.new" >>"$sshd_dir/$name/known_hosts" &&
		rm -f "$sshd_dir/$name/known_hosts.new"
}
net() { "$netproxy" "$sshd_dir/net-$1" "${@:2}" || fail "netproxy $*"; }

cleanup_ssh() {
	status=$?
	local name
	trap - EXIT
	for name in "${!sshd_pid[@]}"; do sshd_kill "$name"; done
	for name in "${!net_pid[@]}"; do kill "${net_pid[$name]}" 2>/dev/null; done
	(exit $status)
	cleanup_scratch
}
trap cleanup_ssh EXIT

#!/usr/bin/env bash
# An emulated arm64 machine: Debian with its own kernel, systemd and ssh, the
# kind of gateway the binary is copied to.
#
#   scripts/vm-bed.sh build
#   scripts/vm-bed.sh run SCRIPT [ARGUMENT…]
#
# `run` restores the booted snapshot (a few seconds) and runs SCRIPT on THIS
# machine with VM_TARGET (root@127.0.0.1) and VM_SSH_OPTS set; its exit status
# is ours, the machine and its disk are thrown away. The guest has no network
# but ssh from here. Root only (device nodes in the image); no KVM needed.
#   VM_MEM    MB of memory, default 384; build and run must agree
#   VM_DISK   socket of an NBD server: plugged in as /dev/vdb before SCRIPT runs, which is given VM_PID to kill
#   AO_CACHE  where the machine is kept
#   AO_MIRROR Debian mirror, default mmdebstrap's
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

VM_REV=3
VM_MEM=${VM_MEM:-384}
DIR=$CACHE/vm-arm64-$VM_REV-$VM_MEM
KERNEL_ARGS="console=ttyAMA0 root=/dev/vda rw quiet loglevel=4 net.ifnames=0 mitigations=off nokaslr random.trust_cpu=on systemd.show_status=0 audit=0 apparmor=0"
PACKAGES="base-files,base-passwd,bash,coreutils,dash,debianutils,diffutils,findutils,grep,gzip,hostname,init-system-helpers,libc-bin,login,mount,util-linux,passwd,sed,tar,mawk,ncurses-base,perl-base,sysvinit-utils,systemd,systemd-sysv,dbus,udev,kmod,iproute2,procps,openssh-server,openssh-sftp-server,busybox-static,e2fsprogs,socat,python3,linux-image-cloud-arm64"

WORK='' QEMU_PID='' PORT=''
log() { printf '[vm %3ds] %s\n' "$SECONDS" "$*" >&2; }

cleanup() {
  set +e
  trap - EXIT INT TERM HUP
  if [ -n "$QEMU_PID" ]; then
    kill -KILL "$QEMU_PID" 2>/dev/null
    wait "$QEMU_PID" 2>/dev/null
  fi
  rm -rf --one-file-system "$WORK"
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

ssh_opts() {
  # `-o Port`, because ssh and scp spell their option differently.
  echo "-q -i $DIR/id -o Port=$PORT -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o IdentitiesOnly=yes"
}

in_vm() {
  local opts
  read -ra opts <<<"$(ssh_opts)"
  ssh "${opts[@]}" -o ConnectTimeout=30 root@127.0.0.1 "$@"
}

start_vm() { # IMAGE QEMU_ARGUMENT…
  local image=$1
  shift
  PORT=$(free_port)
  setpriv --pdeathsig KILL "$DIR/q/usr/bin/qemu-system-aarch64" -L "$DIR/q/usr/share/qemu" \
    -M virt,gic-version=2 -cpu cortex-a53 -smp 1 -accel tcg,tb-size=256 -m "$VM_MEM" \
    -nodefaults -no-user-config -display none -no-reboot \
    -serial "file:$WORK/console" -monitor "unix:$WORK/monitor,server,nowait" \
    -kernel "$DIR/vmlinuz" -initrd "$DIR/initrd.gz" -append "$KERNEL_ARGS" \
    -drive "if=none,id=d0,file=$image,format=qcow2,cache=writeback" -device virtio-blk-pci,drive=d0 \
    -device pcie-root-port,id=plug,slot=1,chassis=1 -device virtio-rng-pci \
    -netdev "user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:$PORT-:22" \
    -device virtio-net-pci,netdev=n0,romfile= "$@" >"$WORK/qemu.log" 2>&1 &
  QEMU_PID=$!
}

alive() { kill -0 "$QEMU_PID" 2>/dev/null || { cat "$WORK/console" "$WORK/qemu.log" >&2; die "the machine stopped"; }; }

# Sends commands to qemu's human monitor, waiting for each prompt.
monitor() {
  python3 - "$WORK/monitor" "$@" <<'PY'
import socket, sys
link = socket.socket(socket.AF_UNIX)
link.connect(sys.argv[1])
link.settimeout(300)
def prompt():
    seen = b""
    while not seen.endswith(b"(qemu) "):
        piece = link.recv(65536)
        if not piece:
            return
        seen += piece
prompt()
for command in sys.argv[2:]:
    link.sendall(command.encode() + b"\n")
    prompt()
PY
}

# qemu by download and unpack: installing qemu-system-* could remove other
# versions of its tools from this machine.
unpack_qemu() {
  mkdir -p "$WORK/debs" "$DIR.new/q"
  (cd "$WORK/debs" && apt-get -qq -o APT::Sandbox::User=root download \
    qemu-system-arm qemu-system-common qemu-system-data)
  local deb
  for deb in "$WORK"/debs/*.deb; do dpkg -x "$deb" "$DIR.new/q"; done
}

# No maintainer script runs (they would have to be emulated), so what they
# would have made is made here: users, ssh keys, links.
configure_root() { # ROOTFS
  local r=$1 unit
  cp "$r/usr/share/base-passwd/passwd.master" "$r/etc/passwd"
  cp "$r/usr/share/base-passwd/group.master" "$r/etc/group"
  sed -i 's,^\([a-z-]*\):\*:,\1:x:,' "$r/etc/passwd"
  cat >>"$r/etc/passwd" <<'P'
messagebus:x:100:101::/nonexistent:/usr/sbin/nologin
sshd:x:101:65534::/run/sshd:/usr/sbin/nologin
systemd-network:x:998:998::/:/usr/sbin/nologin
P
  printf 'messagebus:x:101:\nsystemd-network:x:998:\nsystemd-journal:x:999:\n' >>"$r/etc/group"
  awk -F: '{print $1 ":" ($1 == "root" ? "" : "*") ":19000:0:99999:7:::"}' "$r/etc/passwd" >"$r/etc/shadow"
  chmod 640 "$r/etc/shadow"
  mkdir -p "$r/etc/ssh" "$r/root/.ssh" "$r/etc/systemd/network" "$r/tmp"
  chmod 1777 "$r/tmp"
  chmod 700 "$r/root" "$r/root/.ssh"
  sed 's/^UsePAM.*/UsePAM no/' "$r/usr/share/openssh/sshd_config" >"$r/etc/ssh/sshd_config"
  ssh-keygen -q -t ed25519 -N '' -f "$r/etc/ssh/ssh_host_ed25519_key"
  ssh-keygen -q -t ed25519 -N '' -f "$DIR.new/id"
  cp "$DIR.new/id.pub" "$r/root/.ssh/authorized_keys"
  printf 'passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n' >"$r/etc/nsswitch.conf"
  [ -e "$r/bin/sh" ] || ln -s dash "$r/usr/bin/sh"
  [ -e "$r/usr/bin/awk" ] || ln -s mawk "$r/usr/bin/awk"
  for unit in account auth password session session-noninteractive; do
    echo "${unit%-*} sufficient pam_permit.so" >"$r/etc/pam.d/common-$unit"
  done
  echo gateway >"$r/etc/hostname"
  echo '127.0.0.1 localhost gateway' >"$r/etc/hosts"
  echo '/dev/vda / ext4 defaults 0 1' >"$r/etc/fstab"
  : >"$r/etc/machine-id"
  ln -sf /proc/self/mounts "$r/etc/mtab"
  printf '[Match]\nType=ether\n[Network]\nAddress=10.0.2.15/24\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n' \
    >"$r/etc/systemd/network/10.network"
  cat >"$r/etc/systemd/system/bed-ready.service" <<'U'
[Unit]
After=multi-user.target ssh.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c "echo BED-READY > /dev/console"
[Install]
WantedBy=multi-user.target
U
  mkdir -p "$r/etc/systemd/system/multi-user.target.wants"
  for unit in ssh systemd-networkd; do
    ln -sf "/lib/systemd/system/$unit.service" "$r/etc/systemd/system/multi-user.target.wants/"
  done
  ln -sf ../bed-ready.service "$r/etc/systemd/system/multi-user.target.wants/"
  ln -sf /lib/systemd/system/multi-user.target "$r/etc/systemd/system/default.target"
  for unit in getty.target getty@tty1.service serial-getty@ttyAMA0.service systemd-binfmt.service \
    e2scrub_all.timer e2scrub_reap.service fstrim.timer dpkg-db-backup.timer apt-daily.timer \
    apt-daily-upgrade.timer systemd-networkd-wait-online.service; do
    ln -sf /dev/null "$r/etc/systemd/system/$unit"
  done
  chown -R 0:0 "$r/root"
  chown 0:101 "$r/usr/lib/dbus-1.0/dbus-daemon-launch-helper"
  chmod 4754 "$r/usr/lib/dbus-1.0/dbus-daemon-launch-helper"
}

# A static BusyBox and the virtio modules, in the order they depend on each other.
make_initrd() { # ROOTFS KERNEL_VERSION
  local r=$1 k=$2 i=$WORK/initrd module line dep base
  mkdir -p "$i"/{bin,dev,proc,mnt,m}
  cp "$r/bin/busybox" "$i/bin/"
  : >"$i/order"
  for module in virtio_pci virtio_blk virtio_net; do
    line=$(grep -E "/$module\.ko(\.xz)?:" "$r/lib/modules/$k/modules.dep" || true)
    [ -n "$line" ] || continue
    # shellcheck disable=SC2086  # a list of words
    for dep in $(printf '%s\n' ${line#*:} | tac) "${line%%:*}"; do
      base=$(basename "$dep")
      grep -qx "$base" "$i/order" && continue
      cp "$r/lib/modules/$k/$dep" "$i/m/"
      echo "$base" >>"$i/order"
    done
  done
  cat >"$i/init" <<'I'
#!/bin/busybox sh
/bin/busybox mount -t proc p /proc
/bin/busybox mount -t devtmpfs d /dev
while read m; do /bin/busybox insmod /m/$m; done </order
i=0
while [ ! -b /dev/vda ] && [ $i -lt 200 ]; do /bin/busybox usleep 50000; i=$((i+1)); done
/bin/busybox mount -t ext4 /dev/vda /mnt && /bin/busybox mount -o move /dev /mnt/dev && /bin/busybox umount /proc
exec /bin/busybox switch_root /mnt /sbin/init
I
  chmod +x "$i/init"
  (cd "$i" && find . | cpio -o -H newc --quiet | gzip -1) >"$DIR.new/initrd.gz"
}

build() {
  [ ! -e "$DIR/.done" ] || return 0
  apt_need mmdebstrap:mmdebstrap cpio:cpio depmod:kmod mkfs.ext4:e2fsprogs qemu-img:qemu-utils \
    ssh-keygen:openssh-client python3:python3 \
    /usr/lib/x86_64-linux-gnu/libcapstone.so.4:libcapstone4 /usr/lib/x86_64-linux-gnu/libfdt.so.1:libfdt1 \
    /usr/lib/x86_64-linux-gnu/libslirp.so.0:libslirp0 /usr/lib/x86_64-linux-gnu/libvdeplug.so.2:libvdeplug2 \
    /usr/lib/x86_64-linux-gnu/libpmem.so.1:libpmem1 /usr/lib/x86_64-linux-gnu/libdaxctl.so.1:libdaxctl1 \
    /usr/lib/x86_64-linux-gnu/libndctl.so.6:libndctl6 /usr/lib/x86_64-linux-gnu/libibverbs.so.1:libibverbs1 \
    /usr/lib/x86_64-linux-gnu/librdmacm.so.1:librdmacm1
  rm -rf --one-file-system "$DIR" "$DIR.new"
  mkdir -p "$DIR.new"
  unpack_qemu
  log "qemu unpacked"
  local r=$WORK/root k
  mmdebstrap -q --architectures=arm64 --variant=extract --components=main \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr --include="$PACKAGES" \
    bookworm "$r" ${AO_MIRROR:+"$AO_MIRROR"}
  k=$(basename "$r"/lib/modules/*)
  cp "$r/boot/vmlinuz-$k" "$DIR.new/vmlinuz"
  rm -rf "${r:?}"/boot/* "$r/usr/share/doc" "$r/usr/share/locale" \
    "$r/lib/modules/$k/kernel"/{sound,drivers/gpu,drivers/infiniband,drivers/net/ethernet,fs/btrfs,fs/nfs,fs/nfsd,fs/smb,fs/ceph}
  depmod -b "$r" "$k"
  configure_root "$r"
  make_initrd "$r" "$k"
  mke2fs -q -t ext4 -d "$r" -E lazy_itable_init=1,lazy_journal_init=1 "$WORK/base.raw" 1G
  qemu-img convert -O qcow2 "$WORK/base.raw" "$DIR.new/snap.qcow2"
  rm -rf --one-file-system "$r" "$WORK/base.raw"
  mv "$DIR.new" "$DIR"
  log "image made ($(du -sm "$DIR/snap.qcow2" | cut -f1) MB), first boot"
  local up_until=$((SECONDS + 1200))
  start_vm "$DIR/snap.qcow2"
  until grep -aq BED-READY "$WORK/console" 2>/dev/null; do
    alive
    [ $SECONDS -lt $up_until ] || die "the machine did not come up"
    sleep .1
  done
  in_vm 'systemctl is-system-running --wait; sync' || true
  monitor "savevm booted" quit
  wait "$QEMU_PID" || true
  QEMU_PID=
  touch "$DIR/.done"
  log "snapshot saved"
}

run() {
  local script=$1
  shift
  build
  cp --sparse=always "$DIR/snap.qcow2" "$WORK/disk.qcow2"
  start_vm "$WORK/disk.qcow2" -loadvm booted
  for _ in $(seq 100); do
    in_vm true 2>/dev/null && break
    alive
    sleep .2
  done
  # The snapshot's clock stands where the build left it.
  in_vm "date -s @$(date +%s) >/dev/null"
  log "machine up"
  if [ -n "${VM_DISK:-}" ]; then
    monitor "drive_add 0 if=none,id=d1,driver=nbd,server.type=unix,server.path=$VM_DISK" \
      'device_add virtio-blk-pci,drive=d1,bus=plug'
  fi
  VM_TARGET=root@127.0.0.1 VM_SSH_OPTS=$(ssh_opts) VM_PID=$QEMU_PID
  export VM_TARGET VM_SSH_OPTS VM_PID
  local status=0
  # In the background, so that a signal to us is handled at once.
  "$script" "$@" &
  wait $! || status=$?
  if [ $status != 0 ] && kill -0 "$QEMU_PID" 2>/dev/null; then in_vm 'systemctl --failed --no-pager; journalctl -n 40 --no-pager' >&2 || true; fi
  exit $status
}

[ "$(id -u)" = 0 ] || die "needs root"
WORK=$(mktemp -d "${TMPDIR:-/tmp}/aovm.XXXXXX")
trap cleanup EXIT
trap 'exit 130' INT TERM HUP
case ${1:-} in
  build) build; echo "$DIR" ;;
  run) shift; [ $# -ge 1 ] || die "run: which script?"; run "$@" ;;
  *) sed -n '2,/^set -/{/^set -/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac

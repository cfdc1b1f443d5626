#!/bin/bash
# Inside the throw-away Debian of ordinary.sh: runs each service as its package does, and ordinary clients.
set -u
rounds=$1
log=/out
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
ip link set lo up
mount -t tmpfs tmpfs /run; mkdir -p /run/sshd /run/dbus /run/haproxy /run/nginx /run/redis /run/mosquitto /run/postgresql /run/chrony /run/vsftpd/empty /run/NetworkManager /run/avahi-daemon
mount -t tmpfs -o mode=755 tmpfs /dev; mkdir /dev/shm /dev/pts
for n in null:3 zero:5 random:8 urandom:9; do mknod -m 666 "/dev/${n%:*}" c 1 "${n#*:}"; done
mount -t devpts devpts /dev/pts; mount -t tmpfs tmpfs /dev/shm; ln -s /proc/self/fd /dev/fd; ln -s pts/ptmx /dev/ptmx
chown postgres /run/postgresql; chown redis /run/redis; chown mosquitto /run/mosquitto

syslog() {
  sed -i 's/^module(load="imklog".*//' /etc/rsyslog.conf
  printf '*.* %s/syslog.log\n' "$log" >/etc/rsyslog.d/all.conf
  rsyslogd -n >/dev/null 2>&1 &
  for _ in $(seq 50); do [ -S /dev/log ] && break; sleep 0.1; done
}

start() {
  dbus-daemon --system --nofork --syslog-only &
  nginx -g 'daemon off; error_log /out/nginx-error.log info; pid /run/nginx.pid;' &
  printf 'listener 1883\nallow_anonymous true\nlog_dest file /out/mosquitto.log\nlog_type all\nlog_timestamp_format %%Y-%%m-%%dT%%H:%%M:%%S\n' >/tmp/m.conf
  mosquitto -c /tmp/m.conf &
  redis-server --port 6379 --save 2 1 --dir /tmp --loglevel verbose --logfile /out/redis.log &
  dnsmasq --no-daemon --log-queries --port 5354 --no-resolv --address=/gw.example/192.0.2.7 --log-facility=/out/dnsmasq.log &
  printf 'server:\n do-daemonize: no\n interface: 127.0.0.1@5355\n verbosity: 2\n log-queries: yes\n logfile: "/out/unbound.log"\n use-syslog: no\n chroot: ""\n username: ""\n local-data: "gw.example A 192.0.2.7"\n' >/tmp/u.conf
  unbound -c /tmp/u.conf &
  printf 'global\n log /dev/log local0\ndefaults\n mode http\n log global\n option httplog\n timeout connect 2s\n timeout client 5s\n timeout server 5s\nfrontend f\n bind 127.0.0.1:8081\n default_backend b\nbackend b\n server s 127.0.0.1:80 check\n' >/tmp/h.cfg
  haproxy -W -db -f /tmp/h.cfg >"$log/haproxy.log" 2>&1 &
  printf 'server.port=8082\nserver.document-root="/usr/share/doc"\nserver.modules=("mod_accesslog")\naccesslog.filename="/out/lighttpd-access.log"\nserver.errorlog="/out/lighttpd.log"\ndebug.log-request-handling="enable"\n' >/tmp/l.conf
  lighttpd -D -f /tmp/l.conf &
  ssh-keygen -A >/dev/null; /usr/sbin/sshd -D -p 2222 &
  ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519 <<<y >/dev/null 2>&1 || { mkdir -p /root/.ssh; ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519; }
  cp /root/.ssh/id_ed25519.pub /root/.ssh/authorized_keys
  avahi-daemon --no-drop-root --no-chroot &
  NetworkManager --no-daemon --log-level=INFO &
  chronyd -x -d -d >"$log/chrony.log" 2>&1 &
  memcached -u nobody -vv -p 11211 >"$log/memcached.log" 2>&1 &
  vsftpd -olisten=YES -olisten_ipv6=NO -obackground=NO -oanonymous_enable=YES -olog_ftp_protocol=YES -oxferlog_enable=YES -oxferlog_std_format=NO -ovsftpd_log_file=/out/vsftpd.log >/dev/null 2>&1 &
  printf 'Port 8888\nListen 127.0.0.1\nLogFile "/out/tinyproxy.log"\nLogLevel Info\nAllow 127.0.0.1\n' >/tmp/t.conf
  tinyproxy -d -c /tmp/t.conf >/dev/null 2>&1 &
  cron -f -L 15 &
  pg=$(ls -d /usr/lib/postgresql/*/bin)
  rm -rf /tmp/pg; install -d -o postgres /tmp/pg
  su postgres -s /bin/sh -c "$pg/initdb -D /tmp/pg >/out/postgres-init.log 2>&1" </dev/null
  su postgres -s /bin/sh -c "$pg/postgres -D /tmp/pg -c log_statement=all -c log_connections=on -c log_disconnections=on -c log_checkpoints=on -c log_autovacuum_min_duration=0" >"$log/postgres.log" 2>&1 </dev/null &
}

clients() {
  mosquitto_sub -h 127.0.0.1 -t 'plant/#' -W 2 >/dev/null &
  mosquitto_pub -h 127.0.0.1 -t plant/pump -m on; mosquitto_pub -h 127.0.0.1 -q 1 -r -t plant/tank -m 7
  curl -s "http://127.0.0.1/?round=$1" -o /dev/null; curl -s http://127.0.0.1:8081/ -o /dev/null; curl -s http://127.0.0.1:8082/curl/ -o /dev/null
  curl -s -x http://127.0.0.1:8888 http://127.0.0.1:80/ -o /dev/null
  curl -s ftp://127.0.0.1/ -o /dev/null
  dig +short @127.0.0.1 -p 5354 gw.example >/dev/null; dig +short @127.0.0.1 -p 5355 gw.example >/dev/null
  printf 'set a 0 0 1\r\n1\r\nget a\r\nquit\r\n' | timeout 2 bash -c 'exec 3<>/dev/tcp/127.0.0.1/11211; cat >&3; cat <&3' >/dev/null
  redis-cli set a "$1" >/dev/null; redis-cli bgsave >/dev/null
  psql -h /tmp -U postgres -c "select $1" >/dev/null 2>&1 || psql -h /run/postgresql -U postgres -c "select $1" >/dev/null 2>&1
  ssh -q -o StrictHostKeyChecking=no -p 2222 root@127.0.0.1 true </dev/null
  logger -t backup "snapshot $1 complete, 0 errors, 12 files kept"
}

syslog
start
sleep 8
for round in $(seq "$rounds"); do clients "$round"; done
pkill -HUP -x nginx; pkill -HUP -x mosquitto; pkill -HUP -x dnsmasq; pkill -HUP -x haproxy; pkill -HUP -x rsyslogd; nginx -s reload 2>/dev/null
for round in $(seq "$rounds"); do clients "$round"; done
pkill -TERM -x postgres; pkill -TERM -x redis-server; pkill -TERM -x mosquitto; pkill -TERM -x unbound; pkill -TERM -x chronyd; pkill -TERM -x NetworkManager; pkill -TERM -x avahi-daemon; pkill -TERM -x haproxy; pkill -TERM -x nginx
sleep 4
pkill -TERM -x rsyslogd; sleep 1
cp /var/log/nginx/access.log "$log/nginx-access.log" 2>/dev/null
exit 0

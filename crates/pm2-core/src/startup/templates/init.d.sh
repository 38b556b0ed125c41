#!/bin/sh
### BEGIN INIT INFO
# Provides:          {{service}}
# Required-Start:    $local_fs $remote_fs $network
# Required-Stop:     $local_fs $remote_fs $network
# Default-Start:     2 3 4 5
# Default-Stop:      0 1 6
# Short-Description: PM2 process manager of {{user}}
### END INIT INFO
# chkconfig: 2345 98 02
# description: PM2 process manager of {{user}}

NAME={{service.shell}}
RUN_AS={{user.shell}}
PID_FILE={{pid.shell}}
LOCK_FILE=/var/lock/subsys/$NAME
COMMAND={{command.shell}}

# May set MAX_OPEN_FILES.
[ -r /etc/default/pm2 ] && . /etc/default/pm2
[ -n "$MAX_OPEN_FILES" ] && ulimit -n "$MAX_OPEN_FILES"

run() {
  su -s /bin/sh "$RUN_AS" -c "$COMMAND $*"
}

is_running() {
  [ -s "$PID_FILE" ] && kill -0 "$(cat "$PID_FILE")" 2>/dev/null
}

start() {
  echo "Starting $NAME"
  run resurrect || return
  mkdir -p /var/lock/subsys && touch "$LOCK_FILE"
}

stop() {
  echo "Stopping $NAME"
  run kill || return
  rm -f "$LOCK_FILE"
}

case "$1" in
  start) start ;;
  stop) stop ;;
  restart) stop; start ;;
  reload | force-reload) run reload all ;;
  status)
    if is_running; then
      echo "$NAME is running"
    else
      echo "$NAME is not running"
      exit 3
    fi
    ;;
  *)
    echo "Usage: $0 {start|stop|restart|reload|force-reload|status}" >&2
    exit 2
    ;;
esac

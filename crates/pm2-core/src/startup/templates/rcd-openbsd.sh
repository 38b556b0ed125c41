#!/bin/ksh

daemon={{executable.shell}}
daemon_user={{user.shell}}
pm2_command={{command.shell}}

. /etc/rc.d/rc.subr

pexp="$daemon daemon.*"

rc_start() {
  rc_exec "$pm2_command resurrect"
}

rc_stop() {
  rc_exec "$pm2_command kill"
}

rc_reload() {
  rc_exec "$pm2_command reload all"
}

rc_cmd "$1"

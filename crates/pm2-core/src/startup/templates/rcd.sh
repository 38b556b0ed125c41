#!/bin/sh

# PROVIDE: {{service}}
# REQUIRE: LOGIN
# KEYWORD: shutdown

. /etc/rc.subr

name={{service.shell}}
rcvar="${name}_enable"
pm2_user={{user.shell}}
pm2_command={{command.shell}}
pm2_pid_file={{pid.shell}}

start_cmd="pm2_run resurrect"
stop_cmd="pm2_run kill"
reload_cmd="pm2_run reload all"
status_cmd="pm2_status"
extra_commands="reload"

pm2_run() {
  su -m "$pm2_user" -c "$pm2_command $*"
}

pm2_status() {
  if [ -s "$pm2_pid_file" ] && kill -0 "$(cat "$pm2_pid_file")" 2>/dev/null; then
    echo "$name is running"
  else
    echo "$name is not running"
    return 1
  fi
}

load_rc_config "$name"
eval ": \${${rcvar}:=NO}"
run_rc_command "$1"

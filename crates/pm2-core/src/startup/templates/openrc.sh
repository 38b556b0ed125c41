#!/sbin/openrc-run
# /etc/conf.d/pm2 may set PM2_USER and, with it, PM2_HOME.

description="PM2 process manager"
extra_commands="save"
extra_started_commands="reload"

[ -n "$PM2_USER" ] || PM2_USER={{user.shell}}
[ -n "$PM2_HOME" ] || PM2_HOME={{home.shell}}
export PM2_HOME
command_line={{bare command.shell}}

depend() {
  need net localmount
  after firewall
}

run() {
  su -s /bin/sh "$PM2_USER" -c "$command_line $*"
}

start() {
  ebegin "Starting PM2"
  run resurrect
  eend $?
}

stop() {
  ebegin "Stopping PM2"
  run save
  run kill
  eend $?
}

reload() {
  ebegin "Reloading all apps of PM2"
  run reload all
  eend $?
}

save() {
  ebegin "Saving the process list of PM2"
  run save
  eend $?
}

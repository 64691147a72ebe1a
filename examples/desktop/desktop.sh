#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# What runs in the sandbox: an X server that speaks VNC, on loopback alone; a
# window manager, a terminal, a clock; and noVNC, the client that browsers load,
# with the WebSocket that it speaks VNC over, on port 6080. Who may enter is the
# gateway's matter.
set -eu

Xtigervnc :1 -localhost -SecurityTypes None -AlwaysShared \
	-geometry 1000x620 -depth 24 &
until [ -S /tmp/.X11-unix/X1 ]; do
	sleep 0.1
done
export DISPLAY=:1
xsetroot -solid '#2b3e50'
# What asks to be shown while openbox starts is never shown, so it starts the others.
openbox --startup 'sh -c "xterm -fn 9x15 -geometry 80x24+40+50 -title sandbox &
	xclock -geometry 150x150+810+50 &"' &
until xwininfo -name sandbox | grep -q IsViewable; do
	sleep 0.1
done
exec websockify --web /usr/share/novnc 6080 127.0.0.1:5901

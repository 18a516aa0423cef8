/* SPDX-License-Identifier: BSD-3-Clause */
/* What --help prints. */
#pragma once

static const char ctl_help[] =
	"Usage: mirrorctl [options] COMMAND [options]\n"
	"\n"
	"Asks a running mirrorsink on this machine.\n"
	"\n"
	"  health                 does every lcore move, does every output make progress\n"
	"  status                 what was received and became of it; outputs, sessions, ports\n"
	"  attach PORT            take a port back that was gone: unplugged, deleted, detached\n"
	"  detach PORT            let go of a port; the others go on\n"
	"\n"
	"  -f, --file-prefix NAME the sink's --file-prefix (default: rte)\n"
	"  -j, --json             print JSON\n"
	"      --listen ADDR:PORT with health: go on, and answer HTTP: 200 while the sink is\n"
	"                         healthy, else 503, on any path\n"
	"      --listen-tcp ADDR:PORT\n"
	"                         with health: go on, and accept connections while the sink is\n"
	"                         healthy; else refuse them\n"
	"  -h, --help             print this\n"
	"  -V, --version          print the version\n"
	"\n"
	"ADDR is an address of this machine, IPv6 in brackets, 0.0.0.0 or [::] for all.\n"
	"\n"
	"A load balancer's health check on port 8080 of the target's address:\n"
	"\n"
	"  mirrorctl health --listen 10.0.8.10:8080\n"
	"\n"
	"Exit status of health: 0 healthy, 1 not, or the sink cannot be reached; of others: 1 if "
	"it\n"
	"cannot be reached; 2 if the command line is wrong. See mirrorctl(8).\n";

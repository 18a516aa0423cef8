/* SPDX-License-Identifier: BSD-3-Clause */
/* What mirrorctl files --help prints. */
#pragma once

static const char files_help[] =
	"Usage: mirrorctl files find [options] [DIR | FILE | manifest.jsonl]...\n"
	"       mirrorctl files merge [options] -w OUT [DIR | FILE | manifest.jsonl]...\n"
	"\n"
	"Finds capture files by what is in them, or merges them into one that is sorted by time.\n"
	"Files are looked up in the manifests beside them; the default is the current directory.\n"
	"\n"
	"      --vni N            packets of this VNI, repeatable\n"
	"      --session ID       packets of this session, repeatable\n"
	"      --from TIME        packets from this time on\n"
	"      --to TIME          packets before this time\n"
	"      --bpf EXPR         packets that a pcap-filter(7) takes; files are read for it\n"
	"      --scan             look into files that are in no manifest, too\n"
	"  -j, --json             print JSON\n"
	"  -w, --write OUT        merge: into this pcapng; - is standard output\n"
	"      --window PACKETS   merge: how far packets of a file may be out of order (default:\n"
	"                         65536)\n"
	"      --memory SIZE      merge: for packets that wait to be put in order (default: 256M)\n"
	"  -h, --help             print this\n"
	"\n"
	"TIME is 2026-11-25T17:00:00Z, with a fraction or an offset if need be; @SECONDS since\n"
	"1970; or -5m: 5 minutes ago; s, m, h and d are known.\n"
	"\n"
	"  mirrorctl files merge --vni 64 --from -5m -w five.pcapng /var/lib/mirrorsink\n"
	"\n"
	"Exit status: 0 done; 1 if a file could not be read to its end, or the result not be\n"
	"written; 2 if the command line is wrong. See mirrorctl-files(8).\n";

/* SPDX-License-Identifier: BSD-3-Clause */
#include "files_select.h"

#include <stdlib.h>
#include <string.h>

#include <bsd/stdlib.h>

#include "common/cli.h"

#define VNI_MAX ((1 << 24) - 1)
/* What the filter's "return all" takes. */
#define SNAPLEN 262144

void
files_select_init(struct files_select *select)
{
	*select = (struct files_select){.to = UINT64_MAX};
}

void
files_select_free(struct files_select *select)
{
	free(select->sessions);
	free(select->vnis);
	if (select->has_bpf)
		pcap_freecode(&select->bpf);
}

bool
files_select_vni(struct files_select *select, uint32_t vni)
{
	uint32_t *more = reallocarray(select->vnis, select->vnis_n + 1, sizeof(*more));

	if (more == NULL)
		return cli_wrong("no memory");
	select->vnis = more;
	select->vnis[select->vnis_n++] = vni;
	return true;
}

bool
files_select_session(struct files_select *select, const char *text)
{
	const char **more = reallocarray(select->sessions, select->sessions_n + 1, sizeof(*more));

	if (more == NULL)
		return cli_wrong("no memory");
	select->sessions = more;
	select->sessions[select->sessions_n++] = text;
	return true;
}

bool
files_select_bpf(struct files_select *select, const char *text)
{
	pcap_t *ethernet;
	bool right;

	if (select->has_bpf)
		return cli_wrong("--bpf: one filter is enough; join them by 'and' or 'or'");
	ethernet = pcap_open_dead(DLT_EN10MB, SNAPLEN);
	if (ethernet == NULL)
		return cli_wrong("no memory");
	select->has_bpf = pcap_compile(ethernet, &select->bpf, text, 1, PCAP_NETMASK_UNKNOWN) == 0;
	right = select->has_bpf || cli_wrong("--bpf: '%s': %s", text, pcap_geterr(ethernet));
	pcap_close(ethernet);
	return right;
}

bool
files_select_all(const struct files_select *select)
{
	return !files_select_has_sessions(select) && select->from == 0 &&
	       select->to == UINT64_MAX && !select->has_bpf;
}

bool
files_select_has_sessions(const struct files_select *select)
{
	return select->sessions_n + select->vnis_n > 0;
}

int64_t
files_select_vni_of(const char *name)
{
	const char *problem = NULL;
	long long vni = 0;

	if (strncmp(name, "vni", 3) == 0)
		vni = strtonum(name + 3, 0, VNI_MAX, &problem);
	return strncmp(name, "vni", 3) == 0 && problem == NULL ? vni : FILES_VNI_UNKNOWN;
}

bool
files_select_wants_session(const struct files_select *select, const char *name, int64_t vni)
{
	if (!files_select_has_sessions(select))
		return true;
	for (size_t i = 0; i < select->sessions_n; i++) {
		if (strcmp(select->sessions[i], name) == 0)
			return true;
	}
	for (size_t i = 0; i < select->vnis_n; i++) {
		if (select->vnis[i] == vni)
			return true;
	}
	return false;
}

bool
files_select_wants_packet(const struct files_select *select, const struct ms_capread_packet *packet)
{
	if (packet->ns < select->from || (packet->ns >= select->to && select->to != UINT64_MAX))
		return false;
	return !select->has_bpf || bpf_filter(select->bpf.bf_insns, packet->data, packet->original,
					   packet->captured) != 0;
}

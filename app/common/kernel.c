/* SPDX-License-Identifier: BSD-3-Clause */
#include "common/kernel.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <bsd/string.h>
#include <libmnl/libmnl.h>
#include <linux/gen_stats.h>
#include <linux/if_link.h>
#include <linux/packet_diag.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>

/* An answer of the kernel's, one of many in a dump. */
#define ANSWER_ROOM 32768

static const struct {
	const char *name;
	const char *help;
} counters[] = {
#define X(id, name, help) {name, help},
	KERNEL_COUNTERS_TABLE(X)
#undef X
};

const char *
kernel_counter_name(enum kernel_counter counter)
{
	return counters[counter].name;
}

const char *
kernel_counter_help(enum kernel_counter counter)
{
	return counters[counter].help;
}

/* Puts a request to the kernel and its answers through the callback. */
static bool
ask(int bus, struct nlmsghdr *request, mnl_cb_t take, void *arg)
{
	struct mnl_socket *netlink = mnl_socket_open2(bus, SOCK_CLOEXEC);
	char answer[ANSWER_ROOM];
	ssize_t n = 0;
	int rc = MNL_CB_ERROR;

	if (netlink == NULL)
		return false;
	request->nlmsg_flags |= NLM_F_REQUEST;
	if (mnl_socket_bind(netlink, 0, MNL_SOCKET_AUTOPID) == 0 &&
		mnl_socket_sendto(netlink, request, request->nlmsg_len) >= 0)
		rc = MNL_CB_OK;
	while (rc == MNL_CB_OK && n >= 0) {
		n = mnl_socket_recvfrom(netlink, answer, sizeof(answer));
		rc = n < 0 ? MNL_CB_ERROR
		           : mnl_cb_run(answer, (size_t)n, 0, mnl_socket_get_portid(netlink), take,
				     arg);
	}
	mnl_socket_close(netlink);
	return rc == MNL_CB_STOP;
}

/* Attributes of a message by type, up to 31; NULL where there is none. */
#define ATTRIBUTES 32

static int
sort_attribute(const struct nlattr *attribute, void *arg)
{
	const struct nlattr **by_type = arg;
	uint16_t type = mnl_attr_get_type(attribute);

	if (type < ATTRIBUTES)
		by_type[type] = attribute;
	return MNL_CB_OK;
}

/* Copies what an attribute holds, and zeros for what an older kernel does not know yet. */
static bool
read_attribute(const struct nlattr *attribute, void *out, size_t size)
{
	size_t has = attribute != NULL ? mnl_attr_get_payload_len(attribute) : 0;

	memset(out, 0, size);
	if (attribute != NULL)
		memcpy(out, mnl_attr_get_payload(attribute), has < size ? has : size);
	return attribute != NULL;
}

static int
take_link(const struct nlmsghdr *message, void *arg)
{
	const struct nlattr *by_type[ATTRIBUTES] = {0};
	const struct ifinfomsg *link = mnl_nlmsg_get_payload(message);
	struct kernel_interface *interface = arg;
	struct rtnl_link_stats64 stats;

	mnl_attr_parse(message, sizeof(*link), sort_attribute, by_type);
	if (!read_attribute(by_type[IFLA_STATS64], &stats, sizeof(stats)) ||
		by_type[IFLA_IFNAME] == NULL)
		return MNL_CB_ERROR;
	interface->running = (link->ifi_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
	read_attribute(by_type[IFLA_MTU], &interface->mtu, sizeof(interface->mtu));
	strlcpy(interface->name, mnl_attr_get_str(by_type[IFLA_IFNAME]), sizeof(interface->name));
	interface->counters[KERNEL_RX_PACKETS] = stats.rx_packets;
	interface->counters[KERNEL_RX_DROPPED] = stats.rx_dropped;
	interface->counters[KERNEL_RX_NOHANDLER] = stats.rx_nohandler;
	interface->counters[KERNEL_RX_ERRORS] = stats.rx_errors;
	interface->counters[KERNEL_TX_PACKETS] = stats.tx_packets;
	interface->counters[KERNEL_TX_DROPPED] = stats.tx_dropped;
	interface->counters[KERNEL_TX_ERRORS] = stats.tx_errors;
	return MNL_CB_STOP;
}

/* The queue at an interface's root: it counts what those below it drop, too. */
static int
take_qdisc(const struct nlmsghdr *message, void *arg)
{
	const struct nlattr *by_type[ATTRIBUTES] = {0}, *nested[ATTRIBUTES] = {0};
	const struct tcmsg *queue = mnl_nlmsg_get_payload(message);
	struct kernel_interface *interface = arg;
	struct gnet_stats_queue stats;

	if ((unsigned int)queue->tcm_ifindex != interface->index || queue->tcm_parent != TC_H_ROOT)
		return MNL_CB_OK;
	mnl_attr_parse(message, sizeof(*queue), sort_attribute, by_type);
	if (by_type[TCA_STATS2] != NULL)
		mnl_attr_parse_nested(by_type[TCA_STATS2], sort_attribute, nested);
	read_attribute(nested[TCA_STATS_QUEUE], &stats, sizeof(stats));
	interface->counters[KERNEL_QDISC_DROPPED] += stats.drops;
	return MNL_CB_OK;
}

/* Requests are short. */
#define REQUEST_ROOM 256

static bool
read_link(unsigned int index, struct kernel_interface *interface)
{
	char room[REQUEST_ROOM];
	struct nlmsghdr *request = mnl_nlmsg_put_header(room);
	struct ifinfomsg *link;

	*interface = (struct kernel_interface){.index = index};
	request->nlmsg_type = RTM_GETLINK;
	link = mnl_nlmsg_put_extra_header(request, sizeof(*link));
	link->ifi_index = (int)index;
	if (index != 0 && ask(NETLINK_ROUTE, request, take_link, interface))
		return true;
	interface->index = 0;
	return false;
}

bool
kernel_interface_runs(unsigned int index)
{
	struct kernel_interface interface;

	return read_link(index, &interface) && interface.running;
}

bool
kernel_interface_read(unsigned int index, struct kernel_interface *interface)
{
	char room[REQUEST_ROOM];
	struct nlmsghdr *request = mnl_nlmsg_put_header(room);
	struct tcmsg *queue;

	if (!read_link(index, interface))
		return false;
	request->nlmsg_type = RTM_GETQDISC;
	request->nlmsg_flags = NLM_F_DUMP;
	queue = mnl_nlmsg_put_extra_header(request, sizeof(*queue));
	queue->tcm_ifindex = (int)index;
	ask(NETLINK_ROUTE, request, take_qdisc, interface);
	return true;
}

struct readers {
	unsigned int index;
	struct kernel_reader *list;
	uint32_t n;
};

static int
take_reader(const struct nlmsghdr *message, void *arg)
{
	const struct packet_diag_msg *one = mnl_nlmsg_get_payload(message);
	const struct nlattr *by_type[ATTRIBUTES] = {0};
	uint32_t memory[SK_MEMINFO_VARS];
	struct packet_diag_info info;
	struct readers *readers = arg;
	struct kernel_reader *reader;

	mnl_attr_parse(message, sizeof(*one), sort_attribute, by_type);
	read_attribute(by_type[PACKET_DIAG_INFO], &info, sizeof(info));
	/* one without a protocol only sends */
	if (info.pdi_index != readers->index || one->pdiag_num == 0 ||
		readers->n == KERNEL_READERS_MAX)
		return MNL_CB_OK;
	reader = &readers->list[readers->n++];
	*reader = (struct kernel_reader){
		.inode = one->pdiag_ino, .ring = by_type[PACKET_DIAG_RX_RING] != NULL};
	read_attribute(by_type[PACKET_DIAG_UID], &reader->uid, sizeof(reader->uid));
	read_attribute(by_type[PACKET_DIAG_MEMINFO], memory, sizeof(memory));
	if (!reader->ring) {
		reader->dropped = memory[SK_MEMINFO_DROPS];
		reader->queued = memory[SK_MEMINFO_RMEM_ALLOC];
		reader->room = memory[SK_MEMINFO_RCVBUF];
	}
	return MNL_CB_OK;
}

/* Takes this process' own sockets off the list; returns how many are left. */
static uint32_t
leave_out_own(struct kernel_reader *list, uint32_t n)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	struct stat status;

	while (dir != NULL && n > 0 && (entry = readdir(dir)) != NULL) {
		if (fstatat(dirfd(dir), entry->d_name, &status, 0) != 0 ||
			!S_ISSOCK(status.st_mode))
			continue;
		for (uint32_t i = 0; i < n; i++) {
			if (list[i].inode == status.st_ino)
				list[i--] = list[--n];
		}
	}
	if (dir != NULL)
		closedir(dir);
	return n;
}

uint32_t
kernel_readers(unsigned int index, struct kernel_reader *list)
{
	struct readers readers = {index, list, 0};
	char room[REQUEST_ROOM];
	struct nlmsghdr *request = mnl_nlmsg_put_header(room);
	struct packet_diag_req *what;

	request->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	request->nlmsg_flags = NLM_F_DUMP;
	what = mnl_nlmsg_put_extra_header(request, sizeof(*what));
	what->sdiag_family = AF_PACKET;
	what->pdiag_show = PACKET_SHOW_INFO | PACKET_SHOW_RING_CFG | PACKET_SHOW_MEMINFO;
	if (index == 0 || !ask(NETLINK_SOCK_DIAG, request, take_reader, &readers))
		return 0;
	return leave_out_own(list, readers.n);
}

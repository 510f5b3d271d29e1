// SPDX-License-Identifier: MIT
//
// The network interface's control queue (virtio 1.2 section 5.1.6.5) and the receive filter that it
// sets: receive modes, the interface's own address, address tables, the number of queue pairs.
// Left out: VLAN filters, announcements, receive hashing, changing offloads while running; none is
// offered.
#include <string.h>

#include "devices/virtio/net_state.h"
#include "log.h"
#include "util.h"

enum { CLASS_RX = 0, CLASS_MAC = 1, CLASS_MQ = 4 };
enum { RX_PROMISC, RX_ALLMULTI, RX_ALLUNI, RX_NOMULTI, RX_NOUNI, RX_NOBCAST };
enum { MAC_TABLE_SET, MAC_ADDR_SET };
enum { MQ_PAIRS_SET };
enum { ACK_OK = 0, ACK_ERR = 1 };

/* As it is before the driver has said anything: everything passes. */
void net_ctrl_reset(struct virtio_net *dev)
{
    dev->regs = (struct net_regs){.promisc = true, .pairs = 1};
    memcpy(dev->config.mac, dev->settings.mac, NET_MAC_BYTES);
    net_set_queues(dev->net, 1);
}

/* --- commands; the class and command are off the chain already --- */

static bool set_rx_mode(struct virtio_net *dev, unsigned command, const struct virtq_chain *chain)
{
    bool *const modes[] = {
        [RX_PROMISC] = &dev->regs.promisc, [RX_ALLMULTI] = &dev->regs.allmulti,
        [RX_ALLUNI] = &dev->regs.alluni,   [RX_NOMULTI] = &dev->regs.nomulti,
        [RX_NOUNI] = &dev->regs.nouni,     [RX_NOBCAST] = &dev->regs.nobcast,
    };
    uint8_t on;
    uint64_t needs = command > RX_ALLMULTI ? NET_F_CTRL_RX_EXTRA : NET_F_CTRL_RX;
    if (command >= ARRAY_LEN(modes) || !virtio_has(&dev->vd, needs) || chain->read_bytes != 1 ||
        chain_read(chain, 0, &on, 1) != 1)
        return false;
    *modes[command] = on;
    return true;
}

/* One table off the front of the chain: a count, then so many addresses. */
static bool pull_table(struct virtq_chain *chain, struct mac_table *table)
{
    uint32_t count;
    *table = (struct mac_table){0};
    if (!chain_pull(chain, &count, sizeof count) ||
        (uint64_t)count * NET_MAC_BYTES > chain->read_bytes)
        return false;
    table->all = count > NET_MAC_TABLE;
    for (uint32_t i = 0; i < count; i++) {
        uint8_t mac[NET_MAC_BYTES];
        if (!chain_pull(chain, mac, sizeof mac))
            return false;
        if (!table->all)
            memcpy(table->mac[table->count++], mac, sizeof mac);
    }
    return true;
}

static bool set_mac(struct virtio_net *dev, unsigned command, struct virtq_chain *chain)
{
    struct mac_table uni, multi;
    if (command == MAC_TABLE_SET && virtio_has(&dev->vd, NET_F_CTRL_RX)) {
        if (!pull_table(chain, &uni) || !pull_table(chain, &multi) || chain->read_bytes)
            return false;
        dev->regs.uni = uni;
        dev->regs.multi = multi;
        return true;
    }
    return command == MAC_ADDR_SET && virtio_has(&dev->vd, NET_F_CTRL_MAC_ADDR) &&
           chain->read_bytes == NET_MAC_BYTES &&
           chain_pull(chain, dev->config.mac, NET_MAC_BYTES);
}

static bool set_pairs(struct virtio_net *dev, unsigned command, const struct virtq_chain *chain)
{
    uint16_t pairs;
    if (command != MQ_PAIRS_SET || !virtio_has(&dev->vd, NET_F_MQ) ||
        chain->read_bytes != sizeof pairs ||
        chain_read(chain, 0, &pairs, sizeof pairs) != sizeof pairs || !pairs ||
        pairs > dev->npairs)
        return false;
    dev->regs.pairs = pairs;
    net_set_queues(dev->net, pairs);
    return true;
}

static bool run_command(struct virtio_net *dev, struct virtq_chain *chain)
{
    uint8_t head[2];
    if (!chain_pull(chain, head, sizeof head))
        return false;
    switch (head[0]) {
    case CLASS_RX:
        return set_rx_mode(dev, head[1], chain);
    case CLASS_MAC:
        return set_mac(dev, head[1], chain);
    case CLASS_MQ:
        return set_pairs(dev, head[1], chain);
    default:
        return false;
    }
}

static void answer(struct virtio_net *dev, struct virtq_chain *chain)
{
    uint8_t *ack;
    gpa_t gpa;
    if (chain->write_bytes != 1 || !chain_cut(chain, &ack, &gpa)) {
        virtio_broken(&dev->vd, "control command without a byte for its answer");
        virtq_push(chain, 0);
        return;
    }
    bool ok = run_command(dev, chain);
    if (!ok)
        log_guest("virtio-net: control command refused");
    *(volatile uint8_t *)ack = ok ? ACK_OK : ACK_ERR;
    gmem_wrote(dev->vd.gmem, gpa, 1);
    virtq_push(chain, 1);
}

void net_ctrl_notify(struct virtio_net *dev, struct virtq *vq)
{
    struct virtq_chain *chain;
    unsigned budget = vq->regs.size;
    do {
        virtq_disable_kick(vq);
        while (budget && virtq_pop(vq, &chain) > 0) {
            answer(dev, chain);
            budget--;
        }
    } while (budget && virtq_enable_kick(vq));
    if (!budget)
        virtq_kick_again(vq);
    virtq_notify(vq);
}

/* --- the filter --- */

static bool table_has(const struct mac_table *table, const uint8_t *mac)
{
    for (unsigned i = 0; i < table->count; i++) {
        if (!memcmp(table->mac[i], mac, NET_MAC_BYTES))
            return true;
    }
    return table->all;
}

bool net_wants(const struct virtio_net *dev, const struct net_frame *frame)
{
    static const uint8_t broadcast[NET_MAC_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    const struct net_regs *r = &dev->regs;
    const uint8_t *to = frame->data;
    if (r->promisc)
        return true;
    if (!memcmp(to, broadcast, NET_MAC_BYTES))
        return !r->nobcast;
    if (to[0] & 1)
        return !r->nomulti && (r->allmulti || table_has(&r->multi, to));
    return !r->nouni && (r->alluni || !memcmp(to, dev->config.mac, NET_MAC_BYTES) ||
                         table_has(&r->uni, to));
}

// SPDX-License-Identifier: MIT
//
// The i6300esb watchdog: served in time it is silent for longer than it would take to fire; switched
// off it stays silent; not served it resets the machine, once, and says so afterwards.
#include "watchdog.h"

void guest_main(void)
{
    watchdog_find();
    if (watchdog_timed_out()) {
        print("reset by the watchdog\n");
        watchdog_forget();
        CHECK(!watchdog_timed_out());
        return;
    }
    uint32_t start = pm_now();
    watchdog_start(1500); /* longer than a busy host keeps us from running */
    while (pm_ms_since(start) < 4000) {
        watchdog_ping();
        wait_ms(20);
    }
    watchdog_stop();
    wait_ms(3200);
    print("served and switched off\n");
    watchdog_start(100);
    wait_ms(5000);
    print("FAILED: it did not fire\n");
    finish(FAIL);
}

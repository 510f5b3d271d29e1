// SPDX-License-Identifier: MIT
//
// Linked into build/tsan/minivmm: where the interpreter touches guest RAM for the guest, and where
// a virtqueue touches its ring, for the guest's side of a race is often forgotten when the other
// comes. A guest orders its accesses and those of its devices by rules of its own, with plain loads
// and stores, which tell ThreadSanitizer nothing; what a device reads there it takes once, and
// trusts no further. `race_top` is for functions that also lead elsewhere.
const char *__tsan_default_options(void);
const char *__tsan_default_suppressions(void);

const char *__tsan_default_options(void)
{
    return "history_size=7"; /* the interpreter does much in a short time */
}

const char *__tsan_default_suppressions(void)
{
    return "race_top:^fast_load$\n"
           "race_top:^fast_store$\n"
           "race_top:^mem_read\n"
           "race_top:^mem_write\n"
           "race_top:^mem_rmw\n"
           "race:^copy$\n" /* src/accel/x86/mmu_access.c */
           "race:^copy_upwards$\n"
           "race:^stos_span$\n" /* src/accel/x86/op_string.c */
           "race:^fetch_bytes$\n"
           "race:^ring_load$\n" /* devices/virtio/virtq.c */
           "race:^give_back$\n"
           "race:^used_store16$\n"
           "race:^desc_fetch$\n"
           "race:^span_copy$\n";
}

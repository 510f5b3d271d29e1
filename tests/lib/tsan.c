// SPDX-License-Identifier: MIT
//
// Linked into build/tsan/minivmm: where the interpreter touches guest RAM for the guest, and
// nothing else. A guest orders its accesses and those of its devices by rules of its own, with
// plain loads and stores, which tell ThreadSanitizer nothing; what a device reads there it takes
// once, and trusts no further. `race_top` is for functions that also lead to a device's registers.
const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
    return "race_top:^fast_load$\n"
           "race_top:^fast_store$\n"
           "race_top:^mem_read\n"
           "race_top:^mem_write\n"
           "race_top:^mem_rmw\n"
           "race:^copy$\n" /* src/accel/x86/mmu_access.c */
           "race:^copy_upwards$\n"
           "race_top:^fill$\n" /* src/accel/x86/op_string.c */
           "race:^fetch_bytes$\n";
}

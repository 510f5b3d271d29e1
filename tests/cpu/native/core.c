// SPDX-License-Identifier: MIT
#include "core.h"

#include <Zydis/Zydis.h>
#include <string.h>

#include "src/accel/x86/ops.h"
#include "src/accel/x86/sys.h"
#include "src/accel/x86/vec.h"
#include "tests/lib/cpu_rig.h"

static struct cpu_rig rig;
static ZydisDecoder zydis;

/* What the run in progress knows. */
static struct {
    uint32_t undefined, undefined_before; /* after and before the present instruction */
    bool strict;
    uint64_t executed;
} run;

/* --- undefined flags: nothing may depend on them --- */

static bool may_leave_flags(const struct insn *i)
{
    /* Shifts and string instructions change no flags when their count is zero. */
    uint8_t op = i->opcode;
    return (op >= 0xc0 && op <= 0xc1) || (op >= 0xd0 && op <= 0xd3) || (op >= 0xa4 && op <= 0xaf);
}

/* When an element faults, Intel has the flags of before the instruction, AMD those of the last
 * comparison. */
static bool is_repeated_comparison(const struct insn *i)
{
    return i->op == op_cmps || i->op == op_scas;
}

static bool flags_are_fine(struct x86_cpu *cpu, const struct insn *i, const uint8_t *bytes)
{
    uint32_t undefined = x86_undefined_flags(cpu, i);
    if (x86_undefined_result(cpu, i))
        return false;
    if (run.undefined) {
        ZydisDecodedInstruction z;
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&zydis, NULL, bytes, 15, &z)))
            return false;
        if (z.cpu_flags->tested & run.undefined)
            return false;
        uint32_t written = z.cpu_flags->modified | z.cpu_flags->set_0 | z.cpu_flags->set_1;
        if (!may_leave_flags(i))
            run.undefined &= ~written;
    }
    run.undefined |= undefined;
    return true;
}

/* POPF must not switch on single-stepping or alignment checks; NT would come back from system calls
 * in odd ways. */
static bool pops_dangerous_flags(const struct insn *i)
{
    uint32_t f = 0;
    return i->op == op_popf &&
           (gmem_read(&rig.gmem, rig.cpu.gpr[RSP], &f, i->opsize == 2 ? 2 : 4) ||
            (f & (FL_TF | FL_NT | FL_AC)));
}

static bool before(struct cpu_rig *r, void *opaque)
{
    (void)opaque;
    run.executed++;
    run.undefined_before = run.undefined;
    uint8_t bytes[16] = {0};
    size_t at = r->cpu.rip - CODE_BASE, left = r->code_len - at;
    memcpy(bytes, r->code + at, left < 15 ? left : 15);
    if (pops_dangerous_flags(&r->insn))
        return false;
    if (run.strict || flags_are_fine(&r->cpu, &r->insn, bytes))
        return true;
    return false;
}

/* --- state --- */

void core_init(bool mode32)
{
    ZydisDecoderInit(&zydis,
                     mode32 ? ZYDIS_MACHINE_MODE_LONG_COMPAT_32 : ZYDIS_MACHINE_MODE_LONG_64,
                     mode32 ? ZYDIS_STACK_WIDTH_32 : ZYDIS_STACK_WIDTH_64);
    cpu_rig_init(&rig, 0, SANDBOX_BASE, SANDBOX_SIZE);
    cpu_rig_mode(&rig, mode32 ? X86_MODE32 : X86_MODE64);
    rig.cpu.cpl = 3;
    rig.cpu.seg[SEG_GS].base = GS_BASE;
    x86_update_mode(&rig.cpu);
    rig.before = before;
    rig.code_base = CODE_BASE;
}

void core_fini(void)
{
    cpu_rig_fini(&rig);
}

static void load(const struct machine *m)
{
    struct x86_cpu *cpu = &rig.cpu;
    memcpy(cpu->gpr, m->gpr, sizeof m->gpr);
    cpu->rflags = (m->rflags & ~(uint64_t)FL_ARITH) | 2;
    flags_put(cpu, (uint32_t)m->rflags & FL_ARITH);
    cpu->next_rip = cpu->rip = m->rip;
    memcpy(cpu->ymm, m->ymm, sizeof m->ymm);
    vec_mxcsr_set(cpu, m->mxcsr);
    cpu->x87.control = m->fcw;
    cpu->x87.status = m->fsw & 0xc7ff;
    cpu->x87.top = m->fsw >> 11 & 7;
    cpu->x87.empty = (uint8_t)~m->valid;
    for (unsigned n = 0; n < 8; n++) {
        struct x87_reg *r = &cpu->x87.st[(cpu->x87.top + n) & 7];
        memcpy(&r->mantissa, m->st[n], 8);
        memcpy(&r->sign_exp, m->st[n] + 8, 2);
    }
    cpu->cr2 = 0;
    gmem_write(&rig.gmem, SANDBOX_BASE, m->mem, SANDBOX_SIZE);
}

static void save(struct machine *m)
{
    struct x86_cpu *cpu = &rig.cpu;
    memcpy(m->gpr, cpu->gpr, sizeof m->gpr);
    m->rflags = rflags_get(cpu);
    memcpy(m->ymm, cpu->ymm, sizeof m->ymm);
    m->mxcsr = vec_mxcsr_get(cpu);
    m->fcw = cpu->x87.control;
    m->fsw = (uint16_t)((cpu->x87.status & 0xc7ff) | cpu->x87.top << 11);
    m->valid = (uint8_t)~cpu->x87.empty;
    for (unsigned n = 0; n < 8; n++) {
        const struct x87_reg *r = &cpu->x87.st[(cpu->x87.top + n) & 7];
        memcpy(m->st[n], &r->mantissa, 8);
        memcpy(m->st[n] + 8, &r->sign_exp, 2);
    }
    gmem_read(&rig.gmem, SANDBOX_BASE, m->mem, SANDBOX_SIZE);
}

static bool in_guard(uint64_t va)
{
    return va - (SANDBOX_BASE - SANDBOX_GUARD) < SANDBOX_SIZE + 2 * SANDBOX_GUARD &&
           va - SANDBOX_BASE >= SANDBOX_SIZE;
}

/* May the host run into this fault too? Only where surely nothing of the test program is. */
static bool fault_is_safe(const struct x86_cpu *cpu)
{
    return cpu->exception.vector == X86_PF ? in_guard(cpu->cr2) : cpu->exception.vector != X86_GP;
}

static unsigned insn_at(uint64_t rip, const uint16_t *offsets, unsigned n)
{
    unsigned k = 0;
    while (k + 1 < n && CODE_BASE + offsets[k + 1] <= rip)
        k++;
    return k;
}

struct core_verdict core_run(struct machine *m, const uint8_t *code, size_t len,
                             const uint16_t *offsets, unsigned n, bool strict)
{
    struct x86_cpu *cpu = &rig.cpu;
    run.undefined = 0;
    run.strict = strict;
    run.executed = 0;
    load(m);
    rig.code = code;
    rig.code_len = len;
    enum rig_end end = cpu_rig_run(&rig, 1000);
    save(m);
    m->fault = -1;
    m->error = 0;
    m->cr2 = 0;
    m->rip = end == RIG_DONE ? cpu->next_rip : cpu->rip;
    if (end == RIG_FAULT) {
        run.undefined = is_repeated_comparison(&rig.insn) ? FL_ARITH : run.undefined_before;
        m->fault = cpu->exception.vector;
        m->error = cpu->exception.has_error ? cpu->exception.error : 0;
        m->cr2 = m->fault == X86_PF ? cpu->cr2 : 0;
    }
    bool left_code = end == RIG_DONE && cpu->next_rip != CODE_BASE + len;
    bool good = (end == RIG_DONE && !left_code) || (end == RIG_FAULT && fault_is_safe(cpu));
    return (struct core_verdict){.comparable = good,
                                 .culprit = insn_at(cpu->rip, offsets, n),
                                 .undefined = run.undefined,
                                 .executed = run.executed};
}

// SPDX-License-Identifier: MIT
//
// AES, carry-less multiplication, SHA: SDM vol. 2; each by the host's instruction. 256-bit AES
// (VAES) is not offered: the decoder knows no such form.
#include "ops.h"
#include "vec.h"

OP_INT(aesenc, "aesenc", VEC_AES)
OP_INT(aesenclast, "aesenclast", VEC_AES)
OP_INT(aesdec, "aesdec", VEC_AES)
OP_INT(aesdeclast, "aesdeclast", VEC_AES)
OP_INT1(aesimc, "aesimc", VEC_AES)

IMM_STUBS2(aeskeygenassist, "aeskeygenassist", 256)
void op_aeskeygenassist(struct x86_cpu *cpu, const struct insn *i)
{
    vec_enter(cpu, i, VEC_AES, 0);
    __m128i b = vec_rm128(cpu, i, true);
    vec_put128(cpu, i, i->reg, imm_aeskeygenassist(b, b, (uint8_t)i->imm));
}

IMM_STUBS2(pclmulqdq, "pclmulqdq", 32) /* bits 0 and 4 count */
OP_LANES_IMM(pclmulqdq, VEC_PCLMUL, 0, 0)

OP_INT(sha1nexte, "sha1nexte", VEC_SHA)
OP_INT(sha1msg1, "sha1msg1", VEC_SHA)
OP_INT(sha1msg2, "sha1msg2", VEC_SHA)
OP_INT(sha256msg1, "sha256msg1", VEC_SHA)
OP_INT(sha256msg2, "sha256msg2", VEC_SHA)

IMM_STUBS2(sha1rnds4, "sha1rnds4", 4)
OP_LANES_IMM(sha1rnds4, VEC_SHA, 0, 0)

void op_sha256rnds2(struct x86_cpu *cpu, const struct insn *i)
{
    vec_need(cpu, VEC_SSE | VEC_SHA);
    __m128i a = cpu->ymm[i->reg].x[0], b = vec_rm128(cpu, i, true);
    __asm__("sha256rnds2 %2, %1, %0" : "+x"(a) : "x"(b), "Yz"(cpu->ymm[0].x[0]));
    cpu->ymm[i->reg].x[0] = a;
}

// SPDX-License-Identifier: MIT
//
// minivmm's init as bytes in minivmm: INIT_FILE is the linked program.
    .section .rodata
    .globl init_image, init_image_end
    .balign 8
init_image:
    .incbin INIT_FILE
init_image_end:
    .section .note.GNU-stack, "", @progbits

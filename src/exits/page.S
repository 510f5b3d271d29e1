// SPDX-License-Identifier: MIT
//
// page.html as bytes in minivmm.
    .section .rodata
    .globl page_image, page_image_end
page_image:
    .incbin "src/exits/page.html"
page_image_end:
    .section .note.GNU-stack, "", @progbits

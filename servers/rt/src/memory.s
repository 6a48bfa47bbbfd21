# memcpy memmove memset memcmp bcmp strlen, for the System V calling convention. `function` is defined by the includer.

# rax = rdi; copies rdx bytes from rsi to rdi, overlapping or not: up to 128 bytes are all loaded before the first is stored.
function memmove memcpy
    mov rax, rdi
    cmp rdx, 16
    jb 1f
    cmp rdx, 32
    ja 2f
    movups xmm0, [rsi]
    movups xmm1, [rsi + rdx - 16]
    movups [rdi], xmm0
    movups [rdi + rdx - 16], xmm1
    ret
1:  cmp edx, 8
    jb 1f
    mov rcx, [rsi]
    mov r8, [rsi + rdx - 8]
    mov [rdi], rcx
    mov [rdi + rdx - 8], r8
    ret
1:  cmp edx, 4
    jb 1f
    mov ecx, [rsi]
    mov r8d, [rsi + rdx - 4]
    mov [rdi], ecx
    mov [rdi + rdx - 4], r8d
    ret
1:  test edx, edx
    jz 1f
    mov r9d, edx
    shr r9d, 1
    mov cl, [rsi]
    mov r8b, [rsi + r9]
    mov r10b, [rsi + rdx - 1]
    mov [rdi], cl
    mov [rdi + r9], r8b
    mov [rdi + rdx - 1], r10b
1:  ret
2:  cmp rdx, 64
    ja 2f
    movups xmm0, [rsi]
    movups xmm1, [rsi + 16]
    movups xmm2, [rsi + rdx - 32]
    movups xmm3, [rsi + rdx - 16]
    movups [rdi], xmm0
    movups [rdi + 16], xmm1
    movups [rdi + rdx - 32], xmm2
    movups [rdi + rdx - 16], xmm3
    ret
2:  cmp rdx, 128
    ja 2f
    movups xmm0, [rsi]
    movups xmm1, [rsi + 16]
    movups xmm2, [rsi + 32]
    movups xmm3, [rsi + 48]
    movups xmm4, [rsi + rdx - 64]
    movups xmm5, [rsi + rdx - 48]
    movups xmm6, [rsi + rdx - 32]
    movups xmm7, [rsi + rdx - 16]
    movups [rdi], xmm0
    movups [rdi + 16], xmm1
    movups [rdi + 32], xmm2
    movups [rdi + 48], xmm3
    movups [rdi + rdx - 64], xmm4
    movups [rdi + rdx - 48], xmm5
    movups [rdi + rdx - 32], xmm6
    movups [rdi + rdx - 16], xmm7
    ret
2:  mov rcx, rdi
    sub rcx, rsi
    cmp rcx, rdx
    jb 5f
    # Forward, to aligned addresses. The first 16 and the last 64 bytes are kept in registers and stored last.
    lea r9, [rdi + rdx - 64]
    movups xmm8, [rsi]
    movups xmm4, [rsi + rdx - 64]
    movups xmm5, [rsi + rdx - 48]
    movups xmm6, [rsi + rdx - 32]
    movups xmm7, [rsi + rdx - 16]
    mov rcx, rdi
    neg rcx
    and ecx, 15
    add rsi, rcx
    add rdi, rcx
3:  movups xmm0, [rsi]
    movups xmm1, [rsi + 16]
    movups xmm2, [rsi + 32]
    movups xmm3, [rsi + 48]
    movaps [rdi], xmm0
    movaps [rdi + 16], xmm1
    movaps [rdi + 32], xmm2
    movaps [rdi + 48], xmm3
    add rsi, 64
    add rdi, 64
    cmp rdi, r9
    jb 3b
    movups [r9], xmm4
    movups [r9 + 16], xmm5
    movups [r9 + 32], xmm6
    movups [r9 + 48], xmm7
    movups [rax], xmm8
    ret
    # Backward, because the target begins inside the source. The first 64 bytes are kept and stored last.
5:  movups xmm4, [rsi]
    movups xmm5, [rsi + 16]
    movups xmm6, [rsi + 32]
    movups xmm7, [rsi + 48]
6:  movups xmm0, [rsi + rdx - 64]
    movups xmm1, [rsi + rdx - 48]
    movups xmm2, [rsi + rdx - 32]
    movups xmm3, [rsi + rdx - 16]
    movups [rdi + rdx - 64], xmm0
    movups [rdi + rdx - 48], xmm1
    movups [rdi + rdx - 32], xmm2
    movups [rdi + rdx - 16], xmm3
    sub rdx, 64
    cmp rdx, 64
    ja 6b
    movups [rdi], xmm4
    movups [rdi + 16], xmm5
    movups [rdi + 32], xmm6
    movups [rdi + 48], xmm7
    ret

# rax = rdi; sets rdx bytes at rdi to the low byte of esi.
function memset
    mov rax, rdi
    movzx esi, sil
    movabs rcx, 0x0101010101010101
    imul rcx, rsi
    cmp rdx, 16
    jb 1f
    movq xmm0, rcx
    punpcklqdq xmm0, xmm0
    movups [rdi], xmm0
    movups [rdi + rdx - 16], xmm0
    cmp rdx, 32
    jbe 3f
    movups [rdi + 16], xmm0
    movups [rdi + rdx - 32], xmm0
    cmp rdx, 64
    jbe 3f
    lea r8, [rdi + rdx - 64]
    add rdi, 32
    and rdi, -16
    jmp 5f
4:  movaps [rdi], xmm0
    movaps [rdi + 16], xmm0
    movaps [rdi + 32], xmm0
    movaps [rdi + 48], xmm0
    add rdi, 64
5:  cmp rdi, r8
    jb 4b
    movups [r8], xmm0
    movups [r8 + 16], xmm0
    ret
1:  cmp edx, 8
    jb 1f
    mov [rdi], rcx
    mov [rdi + rdx - 8], rcx
    ret
1:  cmp edx, 4
    jb 1f
    mov [rdi], ecx
    mov [rdi + rdx - 4], ecx
    ret
1:  test edx, edx
    jz 3f
    mov r9d, edx
    shr r9d, 1
    mov [rdi], cl
    mov [rdi + r9], cl
    mov [rdi + rdx - 1], cl
3:  ret

# eax = below, equal to or above 0 as the rdx bytes at rdi come before, equal or come after those at rsi.
function memcmp bcmp
    cmp rdx, 16
    jb 2f
    lea r8, [rdx - 16]
    xor ecx, ecx
1:  movdqu xmm0, [rdi + rcx]
    movdqu xmm1, [rsi + rcx]
    pcmpeqb xmm0, xmm1
    pmovmskb eax, xmm0
    xor eax, 0xffff
    jnz 5f
    add rcx, 16
    cmp rcx, r8
    jb 1b
    mov rcx, r8
    movdqu xmm0, [rdi + rcx]
    movdqu xmm1, [rsi + rcx]
    pcmpeqb xmm0, xmm1
    pmovmskb eax, xmm0
    xor eax, 0xffff
    jnz 5f
    ret
5:  bsf eax, eax
    add rcx, rax
    movzx eax, byte ptr [rdi + rcx]
    movzx edx, byte ptr [rsi + rcx]
    sub eax, edx
    ret
2:  cmp edx, 8
    jb 2f
    mov rax, [rdi]
    mov rcx, [rsi]
    cmp rax, rcx
    jne 6f
    mov rax, [rdi + rdx - 8]
    mov rcx, [rsi + rdx - 8]
    cmp rax, rcx
    jne 6f
    xor eax, eax
    ret
6:  bswap rax
    bswap rcx
    cmp rax, rcx
    sbb eax, eax
    or eax, 1
    ret
2:  xor ecx, ecx
    xor eax, eax
3:  cmp rcx, rdx
    je 4f
    movzx eax, byte ptr [rdi + rcx]
    movzx r8d, byte ptr [rsi + rcx]
    inc rcx
    sub eax, r8d
    jz 3b
4:  ret

# rax = number of bytes at rdi before the first zero.
function strlen
    xor eax, eax
1:  cmp byte ptr [rdi + rax], 0
    je 2f
    inc rax
    jmp 1b
2:  ret

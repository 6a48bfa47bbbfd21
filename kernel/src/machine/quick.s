    // Calls and answers between two threads of one vCPU that leave the scheduler nothing to decide; all else goes on at
    // `syscall_slow`, the trap untouched. See quick.rs, which also says what the operands are.
    //
    // Message registers (rdi rsi rdx r10 r8 r9) pass through. rbx: the thread that traps; r13: the one that goes on;
    // r12: the slot whose inbox is used. No stack, no clock, no division, no indirect jump.

    // Goes on in user mode as the thread at r13, which `KERNEL` is unlocked for. rax and r12 are set.
    .macro quick_leave
    mov gs:[{current}], r13
    mov rbp, [r13 + {space}]
    load_space rbp
    mov rsp, [r13 + {rsp}]
    mov rcx, [r13 + {rip}]
    mov r11d, {flags}
    mov dword ptr [rip + {lock}], 0
    pxor xmm0, xmm0
    pxor xmm1, xmm1
    pxor xmm2, xmm2
    pxor xmm3, xmm3
    pxor xmm4, xmm4
    pxor xmm5, xmm5
    pxor xmm6, xmm6
    pxor xmm7, xmm7
    pxor xmm8, xmm8
    pxor xmm9, xmm9
    pxor xmm10, xmm10
    pxor xmm11, xmm11
    pxor xmm12, xmm12
    pxor xmm13, xmm13
    pxor xmm14, xmm14
    pxor xmm15, xmm15
    ldmxcsr [rip + QUICK_MXCSR]
    xor ebx, ebx
    xor ebp, ebp
    xor r13d, r13d
    xor r14d, r14d
    xor r15d, r15d
    leave_kernel
    .endm

    .balign 64
    .global syscall_quick
syscall_quick:
    enter_kernel
    mov rbx, gs:[{current}]
    mov [rbx + {rsp}], rsp
    mov [rbx + {rip}], rcx
    cmp al, {reply_wait}
    je 2f
    ja syscall_slow

    // A call. rax: handle << 8.
    mov r15, rax
    shr r15, 8
    lock bts dword ptr [rip + {lock}], 0
    jc syscall_slow
    movzx ecx, word ptr [rbx + {handles_count}]
    cmp r15, rcx
    jae 1f                                      // beyond the table
    sbb r12, r12                                // and a processor that guesses otherwise reads entry 0
    and r15, r12
    add r15d, [rbx + {handles}]
    shl r15, 4
    add r15, gs:[{handle_table}]
    cmp word ptr [r15 + {handle_kind}], {wire}
    jne 1f                                      // no wire, or stale, or not to be called, or to another vCPU
    movzx r12d, word ptr [r15 + {handle_object}]
    mov [rbx + {callee}], r12w
    shl r12d, 7
    add r12, gs:[{slot_table}]
    movsx r13d, word ptr [r12 + {parked}]
    shl r13d, 8
    jc 1f                                       // nobody waits there
    add r13, gs:[{thread_table}]
    // The callee is more urgent than the caller, and so than all that are ready: wires only lead upwards, which is checked
    // where they are installed, and priorities do not change. It waits, so its inbox is empty.
    inc dword ptr [rbx + {token} + 4]           // the generation
    mov word ptr [rbx + {state}], {awaiting}
    mov word ptr [r13 + {state}], {running}
    mov word ptr [r12 + {parked}], -1
    inc qword ptr [rbx + {calls}]
    inc qword ptr [r13 + {taken}]
    movzx ebp, word ptr [rbx + {payer}]
    mov [r13 + {payer}], bp
    mov r12d, [r15 + {handle_badge}]
    mov rax, [rbx + {token}]
    quick_leave

1:  mov dword ptr [rip + {lock}], 0
    jmp syscall_slow

    // An answer and a wait. rax: the token, whose kind is that of a call.
2:  mov r13d, eax
    shr r13d, 8
    lock bts dword ptr [rip + {lock}], 0
    jc syscall_slow
    cmp r13d, gs:[{thread_count}]
    jae 1b                                      // no such thread
    sbb r12d, r12d                              // and a processor that guesses otherwise reads thread 0
    and r13d, r12d
    shl r13d, 8
    add r13, gs:[{thread_table}]
    cmp rax, [r13 + {token}]
    jne 1b                                      // stale, or no token at all
    cmp word ptr [r13 + {state}], {awaiting}
    jne 1b                                      // not taken, or a fault, or from another vCPU
    movzx r12d, word ptr [rbx + {inbox}]
    cmp r12w, [r13 + {callee}]
    jne 1b                                      // somebody else's to answer
    shl r12d, 7
    add r12, gs:[{slot_table}]
    cmp dword ptr [r12 + {attention}], 0
    jne 1b                                      // bits, callers, ports to be unmasked, or off
    movzx ecx, byte ptr [r13 + {priority}]
    mov r14, gs:[{processor}]
    cmp cx, [r14 + {floor}]
    jb 1b                                       // somebody else is next
    movzx ecx, word ptr [r13 + {payer}]
    cmp cx, [rbx + {payer}]
    jne 1b                                      // time is to be charged
    mov word ptr [r13 + {state}], {running}
    mov word ptr [rbx + {state}], {waiting}
    movzx ecx, word ptr [rbx + {token} + 1]     // its own number
    mov [r12 + {parked}], cx
    movzx ecx, word ptr [rbx + {own}]
    mov [rbx + {payer}], cx
    mov qword ptr [rbx + {turn}], {waited}
    xor eax, eax
    xor r12d, r12d
    quick_leave

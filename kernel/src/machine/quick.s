    // Traps of one vCPU that leave the scheduler nothing to decide; all else goes on at `syscall_slow`, the trap untouched.
    // See quick.rs, which also says what the operands are.
    //
    // Message registers (rdi rsi rdx r10 r8 r9) pass through. rbx: the thread that traps; r13: the other one; r12: the slot
    // whose inbox is used; r14: what is known of the vCPU. No stack, no division, no indirect jump; a clock where told.

    // Makes the thread at r13, which `KERNEL` is still locked for, the one that runs.
    .macro quick_switch
    mov gs:[{current}], r13
    mov rbp, [r13 + {space}]
    load_space rbp
    mov rsp, [r13 + {rsp}]
    mov rcx, [r13 + {rip}]
    .endm

    // Goes on in user mode. rax rcx rsp r12 and r13 are set.
    .macro quick_leave
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
    xor r14d, r14d
    xor r15d, r15d
    leave_kernel
    .endm

    // The same, without a message.
    .macro quick_leave_silently
    xor eax, eax
    xor edi, edi
    xor esi, esi
    xor edx, edx
    xor r10d, r10d
    xor r8d, r8d
    xor r9d, r9d
    xor r12d, r12d
    quick_leave
    .endm

    // Takes the lock. r15: the address of the handle that rax names.
    .macro quick_handle
    mov r15, rax
    shr r15, 8
    jz syscall_slow                             // the kernel itself, most often
    lock bts dword ptr [rip + {lock}], 0
    jc syscall_slow
    movzx ecx, word ptr [rbx + {handles_count}]
    cmp r15, rcx
    jae quick_undo                              // beyond the table
    sbb r12, r12                                // and a processor that guesses otherwise reads entry 0
    and r15, r12
    add r15d, [rbx + {handles}]
    shl r15, 4
    add r15, gs:[{handle_table}]
    .endm

    // Takes the lock. r13: the thread that the token in rax lets answer, r12: the number of the slot that it called.
    // `token` is rax with the kind of a call.
    .macro quick_token token
    mov r13d, eax
    shr r13d, 8
    lock bts dword ptr [rip + {lock}], 0
    jc syscall_slow
    cmp r13d, gs:[{thread_count}]
    jae quick_undo                              // no such thread
    sbb r12d, r12d                              // and a processor that guesses otherwise reads thread 0
    and r13d, r12d
    shl r13d, 8
    add r13, gs:[{thread_table}]
    cmp \token, [r13 + {token}]
    jne quick_undo                              // stale, or no token at all
    cmp word ptr [r13 + {state}], {awaiting}
    jne quick_undo                              // not taken, or a fault, or from another vCPU
    movzx r12d, word ptr [rbx + {inbox}]
    cmp r12w, [r13 + {callee}]
    jne quick_undo                              // somebody else's to answer
    .endm

    // A slice for the thread at r13 if it has none left.
    .macro quick_slice
    cmp qword ptr [r13 + {slice}], 0
    jne 21f
    mov qword ptr [r13 + {slice}], {full_slice}
21:
    .endm

    // The thread at `thread`, number `number`, is the only one that is ready of its priority, which is ecx and no lower than
    // all that are ready.
    .macro quick_line_up thread, number
    mov word ptr [\thread + {next}], -1
    mov [r14 + rcx * 4 + {first}], \number
    mov [r14 + rcx * 4 + {last}], \number
    bts qword ptr [r14 + {ready}], rcx
    .endm

    // Makes the thread at r13, whose priority is ecx and lower than that of the one that runs, ready. Uses rcx rbp r11.
    .macro quick_make_ready
    quick_slice
    mov r14, gs:[{processor}]
    mov byte ptr [r13 + {state}], {ready_state}
    movzx ebp, word ptr [r13 + {token} + 1]     // its number
    movzx r11d, word ptr [r14 + rcx * 4 + {last}]
    cmp word ptr [r14 + rcx * 4 + {first}], -1
    jne 31f
    quick_line_up r13, bp
    inc ecx
    cmp cx, [r14 + {floor}]
    jbe 32f
    mov [r14 + {floor}], cx
    jmp 32f
31: shl r11d, 8                                 // others are before it
    add r11, gs:[{thread_table}]
    mov [r11 + {next}], bp
    mov word ptr [r13 + {next}], -1
    mov [r14 + rcx * 4 + {last}], bp
32:
    .endm

    // rax: system time; r11: time that was withheld. To `quick_restore` while Xen writes either. Uses rcx rdx rbp.
    .macro quick_clock
    mov rbp, gs:[{clock}]
    mov r11d, [rbp]                             // the version
    lfence
    rdtsc
    shl rdx, 32
    or rax, rdx
    sub rax, [rbp + {clock_tsc}]
    movzx ecx, byte ptr [rbp + {clock_shift}]
    test cl, cl
    js 41f
    shl rax, cl
    jmp 42f
41: neg cl
    shr rax, cl
42: mov edx, [rbp + {clock_multiplier}]
    mul rdx
    shrd rax, rdx, 32
    add rax, [rbp + {clock_system}]
    test r11d, 1
    jnz quick_restore
    cmp r11d, [rbp]
    jne quick_restore
    mov rbp, gs:[{shared}]
    mov rdx, [rbp + {run_entered}]
    mov r11, [rbp + {run_runnable}]
    add r11, [rbp + {run_offline}]
    test rdx, rdx
    js quick_restore
    cmp rdx, [rbp + {run_entered}]
    jne quick_restore
    .endm

    .balign 64
    .global syscall_quick
syscall_quick:
    enter_kernel
    mov rbx, gs:[{current}]
    mov [rbx + {rsp}], rsp
    mov [rbx + {rip}], rcx
    cmp al, {reply_wait}
    je quick_reply_wait
    ja quick_others

    // A call. rax: handle << 8.
    quick_handle
    cmp word ptr [r15 + {handle_kind}], {wire}
    jne quick_undo                              // no wire, or stale, or not to be called, or to another vCPU
    movzx r12d, word ptr [r15 + {handle_object}]
    mov [rbx + {callee}], r12w
    shl r12d, 7
    add r12, gs:[{slot_table}]
    movsx r13d, word ptr [r12 + {parked}]
    shl r13d, 8
    jc quick_undo                               // nobody waits there
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
    quick_switch
    xor r13d, r13d
    quick_leave

    // Nothing was changed that counts before a switch to another thread failed.
quick_restore:
    mov rax, [rbx + {trap_rax}]
    mov rdx, [rbx + {words} + 8]
quick_undo:
    mov dword ptr [rip + {lock}], 0
    jmp syscall_slow

    // An answer and a wait. rax: the token, whose kind is that of a call.
quick_reply_wait:
    quick_token rax
    shl r12d, 7
    add r12, gs:[{slot_table}]
    cmp dword ptr [r12 + {attention}], 0
    jne quick_undo                              // bits, callers, ports to be unmasked, or off
    movzx ecx, byte ptr [r13 + {priority}]
    mov r14, gs:[{processor}]
    cmp cx, [r14 + {floor}]
    jb quick_undo                               // somebody else is next
    movzx ecx, word ptr [r13 + {payer}]
    cmp cx, [rbx + {payer}]
    jne quick_undo                              // time is to be charged
    mov word ptr [r13 + {state}], {running}
    mov word ptr [rbx + {state}], {waiting}
    movzx ecx, word ptr [rbx + {token} + 1]     // its own number
    mov [r12 + {parked}], cx
    movzx ecx, word ptr [rbx + {own}]
    mov [rbx + {payer}], cx
    mov qword ptr [rbx + {turn}], {waited}
    xor eax, eax
    xor r12d, r12d
    quick_switch
    xor r13d, r13d
    quick_leave

quick_others:
    cmp al, {notify}
    je quick_notify
    ja syscall_slow

    // An answer; who answers goes on. rax: the token, whose kind is the number of this trap.
    lea r15, [rax - ({reply} - {reply_wait})]
    quick_token r15
    movzx ecx, byte ptr [r13 + {priority}]
    cmp cl, [rbx + {priority}]
    jae quick_undo                              // somebody else may be next
    mov qword ptr [r13 + {trap_rax}], 0
    mov [r13 + {trap_rdi}], rdi
    mov [r13 + {words}], rsi
    mov [r13 + {words} + 8], rdx
    mov [r13 + {words} + 16], r10
    mov [r13 + {words} + 24], r8
    mov [r13 + {words} + 32], r9
    mov qword ptr [r13 + {trap_r12}], 0
    mov qword ptr [r13 + {trap_r13}], 0
    quick_make_ready
quick_on:
    mov word ptr [rbx + {state}], {running}
    mov rcx, [rbx + {rip}]
    xor r13d, r13d
    quick_leave_silently

    // A notification. rax: handle << 8 and the number of the trap.
quick_notify:
    quick_handle
    movzx ecx, word ptr [r15 + {handle_kind}]
    cmp ecx, {bell}
    je 1f
    cmp ecx, {wire}
    jne quick_undo                              // a port, stale, to another vCPU, or not to be notified
1:  mov rbp, [r15 + {handle_bits}]
    test rbp, rbp
    jz quick_undo
    movzx r12d, word ptr [r15 + {handle_object}]
    shl r12d, 7
    add r12, gs:[{slot_table}]
    movsx r13d, word ptr [r12 + {parked}]
    shl r13d, 8
    jnc 2f
    test dword ptr [r12 + {attention}], {attention_off}
    jnz quick_undo
    or [r12 + {bits}], rbp                      // nobody waits there
    or dword ptr [r12 + {attention}], {attention_bits}
    jmp quick_on

2:  add r13, gs:[{thread_table}]
    movzx ecx, word ptr [r13 + {vcpu}]
    cmp cx, [rbx + {vcpu}]
    jne quick_undo                              // it is another vCPU's
    movzx ecx, byte ptr [r13 + {priority}]
    cmp cl, [rbx + {priority}]
    je quick_undo                               // they are to take turns
    ja 3f
    mov word ptr [r12 + {parked}], -1           // it has to wait until it is next
    or [r12 + {bits}], rbp
    or dword ptr [r12 + {attention}], {attention_bits}
    quick_make_ready
    jmp quick_on

    // It is more urgent, and goes on at once with all bits: with these, since none were set while it waited.
3:  cmp dword ptr [r12 + {attention}], 0
    jne quick_undo                              // ports to be unmasked
    movzx ecx, byte ptr [rbx + {priority}]
    mov r14, gs:[{processor}]
    cmp cx, [r14 + {floor}]
    jb quick_undo                               // somebody is as urgent as the one that traps
    movzx ebp, word ptr [rbx + {payer}]
    shl ebp, 7
    add rbp, gs:[{slot_table}]
    mov rcx, [r12 + {budget}]
    or rcx, [rbp + {budget}]
    jnz quick_undo                              // time is limited for one of them
    mov [rbx + {trap_rax}], rax
    mov [rbx + {words} + 8], rdx
    quick_clock
    mov rcx, rax
    add rcx, [r14 + {shortest}]
    jc 4f
    cmp rcx, [r14 + {armed}]
    jb quick_restore                            // the timer is to be set
4:  movzx ebp, word ptr [rbx + {payer}]
    shl ebp, 7
    add rbp, gs:[{slot_table}]
    // What passed since time was last charged is charged (`Core::charge`). rsi: time used, rcx: 0.
    xor ecx, ecx
    mov rdx, r11
    sub rdx, [r14 + {stolen}]
    cmovb rdx, rcx
    mov rsi, rax
    sub rsi, [r14 + {since}]
    cmovb rsi, rcx
    sub rsi, rdx
    cmovb rsi, rcx
    mov [r14 + {since}], rax
    mov [r14 + {stolen}], r11
    add [rbx + {cpu}], rsi
    add [rbp + {used}], rsi
    mov rdx, [rbx + {slice}]
    sub rdx, rsi
    cmovb rdx, rcx
    mov [rbx + {slice}], rdx
    movzx edi, word ptr [rbx + {token} + 1]     // its own number
    cmp qword ptr [rbx + {turn}], {waited}
    je 5f
    cmp di, [r14 + {charged}]
    jne 6f
    add [rbx + {turn}], rsi
    jmp 6f
5:  mov [rbx + {turn}], rcx
    // The one that traps comes next, its trap done.
6:  mov word ptr [rbx + {state}], {ready_trap}
    movzx ecx, byte ptr [rbx + {priority}]
    quick_line_up rbx, di
    inc ecx
    mov [r14 + {floor}], cx
    pxor xmm0, xmm0
    movaps [rbx + {trap_rax}], xmm0
    movaps [rbx + {words}], xmm0
    movaps [rbx + {words} + 16], xmm0
    movaps [rbx + {words} + 32], xmm0
    mov qword ptr [rbx + {trap_r13}], 0
    // The other one runs.
    quick_slice
    mov qword ptr [r13 + {turn}], 0
    mov word ptr [r13 + {state}], {running}
    mov word ptr [r12 + {parked}], -1
    movzx ecx, word ptr [r13 + {token} + 1]     // its number
    mov [r14 + {processor_current}], cx
    mov [r14 + {charged}], cx
    mov r14, [r15 + {handle_bits}]
    quick_switch
    mov r13, r14
    quick_leave_silently

# SPDX-License-Identifier: MIT
#
# bash completion for minivmm. Made by docs/update.sh from the option table.
_minivmm_options='-kernel -initrd -modules -append -kernel-unpack -m -smp -accel -icount -enable-kvm -cpu -machine -disk -drive -device -snapshot -share -vsock -nic -netdev -serial -console -chardev -nographic -qmp -monitor -no-reboot -action -watchdog-action -timeout -result -junit -pidfile -name -gdb -s -S -exits -symbols -d -D -n -h -version'
_minivmm_verbs='probe run shell ctl'
# What may stand for a value: by option; by "option," its keys; by "option,key" their values.
declare -gA _minivmm_data=(
  ['kernel']='<file>'
  ['initrd']=' none'
  ['modules']='<file>'
  ['append']=''
  ['kernel-unpack']='auto host guest'
  ['m']=''
  ['smp']=''
  ['smp,']='cpus= sockets= cores= threads= maxcpus='
  ['accel']='auto kvm interp none'
  ['accel,']='engine= lockstep= probe'
  ['icount']=''
  ['icount,']='shift= seed= sleep= align='
  ['icount,sleep']='off'
  ['icount,align']='off'
  ['cpu']=''
  ['machine']='pc q35'
  ['machine,']='type= accel='
  ['machine,type']='pc q35'
  ['disk']='<file>'
  ['disk,']='ro snapshot serial= cache= aio= bus= queues='
  ['disk,path']='<file>'
  ['disk,cache']='writeback none unsafe'
  ['disk,aio']='auto io_uring threads'
  ['disk,bus']='pci mmio'
  ['drive']=''
  ['drive,']='file= if= format= id= readonly snapshot serial= cache= aio='
  ['drive,file']='<file>'
  ['drive,if']='virtio none'
  ['drive,format']='raw'
  ['drive,cache']='writeback none unsafe'
  ['drive,aio']='auto io_uring threads'
  ['device']='virtio-blk-pci virtio-blk-device virtio-net-pci virtio-net-device virtio-serial-pci virtio-serial-device virtconsole virtserialport virtio-rng-pci virtio-rng-device virtio-balloon-pci virtio-balloon-device pvpanic i6300esb isa-debug-exit help'
  ['device:virtio-blk-pci,']='drive= serial= num-queues='
  ['device:virtio-blk-device,']='drive= serial= num-queues='
  ['device:virtio-net-pci,']='netdev= mac= host_mtu='
  ['device:virtio-net-device,']='netdev= mac= host_mtu='
  ['device:virtio-serial-pci,']='id= max_ports='
  ['device:virtio-serial-device,']='id= max_ports='
  ['device:virtconsole,']='chardev= name= nr= id= bus='
  ['device:virtserialport,']='chardev= name= nr= id= bus='
  ['device:virtio-rng-pci,']='seed= id='
  ['device:virtio-rng-device,']='seed= id='
  ['device:virtio-balloon-pci,']='free-page-reporting deflate-on-oom target= id='
  ['device:virtio-balloon-device,']='free-page-reporting deflate-on-oom target= id='
  ['device:pvpanic,']='id='
  ['device:i6300esb,']='id='
  ['device:isa-debug-exit,']='iobase= iosize='
  ['share']='<file>'
  ['share,']='tag= ro cache= owner= bus='
  ['share,dir']='<file>'
  ['share,cache']='auto none always'
  ['share,owner']='auto map keep'
  ['share,bus']='pci mmio'
  ['vsock']='<file>'
  ['vsock,']='cid= bus='
  ['vsock,path']='<file>'
  ['vsock,bus']='pci mmio'
  ['nic']='-nic user -nic tap -nic socket -nic stream help'
  ['nic:-nic user,']='hostfwd= restrict hostname= net= host= dns= dhcpstart= domainname= dnssearch= ipv4 ipv6 ipv6-net= ipv6-host= ipv6-dns= pcap= mac= mtu= model= bus= id='
  ['nic:-nic user,hostfwd']='[tcp udp]:['
  ['nic:-nic user,pcap']='<file>'
  ['nic:-nic user,model']='virtio virtio-net-pci'
  ['nic:-nic user,bus']='pci mmio'
  ['nic:-nic tap,']='ifname= queues= script= pcap= mac= mtu= model= bus= id='
  ['nic:-nic tap,script']='no'
  ['nic:-nic tap,pcap']='<file>'
  ['nic:-nic tap,model']='virtio virtio-net-pci'
  ['nic:-nic tap,bus']='pci mmio'
  ['nic:-nic socket,']='path= reconnect= pcap= mac= mtu= model= bus= id='
  ['nic:-nic socket,path']='<file>'
  ['nic:-nic socket,pcap']='<file>'
  ['nic:-nic socket,model']='virtio virtio-net-pci'
  ['nic:-nic socket,bus']='pci mmio'
  ['nic:-nic stream,']='addr.path= addr.type= server= reconnect= pcap= mac= mtu= model= bus= id='
  ['nic:-nic stream,addr.path']='<file>'
  ['nic:-nic stream,addr.type']='unix'
  ['nic:-nic stream,server']='off'
  ['nic:-nic stream,pcap']='<file>'
  ['nic:-nic stream,model']='virtio virtio-net-pci'
  ['nic:-nic stream,bus']='pci mmio'
  ['netdev']=''
  ['serial']='stdio file: pty chardev: null none'
  ['console']='stdio file: pty chardev: null'
  ['chardev']='stdio pty null file fd socket help'
  ['chardev:stdio,']='id='
  ['chardev:pty,']='id='
  ['chardev:null,']='id='
  ['chardev:file,']='id= path='
  ['chardev:file,path']='<file>'
  ['chardev:fd,']='id= in= out='
  ['chardev:socket,']='id= path= server wait'
  ['chardev:socket,path']='<file>'
  ['qmp']='<file>'
  ['qmp,']='server wait'
  ['qmp,path']='<file>'
  ['monitor']='<file>'
  ['monitor,']='server wait'
  ['monitor,path']='<file>'
  ['action']=''
  ['action,']='reboot= shutdown= panic= watchdog='
  ['action,reboot']='reset shutdown'
  ['action,shutdown']='poweroff'
  ['action,panic']='shutdown exit-failure none'
  ['action,watchdog']='reset poweroff shutdown none'
  ['watchdog-action']='reset poweroff shutdown none'
  ['timeout']=''
  ['result']='<file>'
  ['junit']='<file>'
  ['junit,']='pass='
  ['junit,path']='<file>'
  ['pidfile']='<file>'
  ['name']=''
  ['gdb']='unix: tcp:['
  ['symbols']='<file>'
  ['d']='guest accel block virtio boot icount'
  ['D']='<file>'
)

# All words that may follow in place of the last part of $1; $2: index of the data.
_minivmm_value() {
    local cur=$1 index=$2 done='' part=$1 words
    if [[ -v _minivmm_data["$index,"] || $cur == *,* ]]; then
        part=${cur##*,}
        done=${cur%"$part"}
    fi
    if [[ $done ]]; then
        local kind=$index:${cur%%,*}
        [[ -v _minivmm_data["$kind,"] ]] && index=$kind
        index+=,
    fi
    if [[ $part == *=* ]]; then
        index=${index%,},${part%%=*}
        done+=${part%%=*}=
        part=${part#*=}
    fi
    words=${_minivmm_data["$index"]-}
    [[ $done || $index == *,* ]] || words+=" ${_minivmm_data["$index,"]-}"
    compopt -o nospace 2>/dev/null
    if [[ $words == *'<file>'* ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -P "$done" -f -- "$part")
        words=${words//'<file>'/}
    fi
    mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -P "$done" -W "$words" -- "$part")
}

_minivmm() {
    local line=${COMP_LINE:0:COMP_POINT} words cur prev
    COMPREPLY=()
    read -ra words <<<"$line"
    [[ $line != *[[:space:]] ]] || words+=('')
    cur=${words[-1]} prev=${words[-2]-}
    prev=${prev#-}
    prev=${prev#-}
    if [[ ${words[-2]-} == -* && -v _minivmm_data["$prev"] ]]; then
        _minivmm_value "$cur" "$prev"
        # readline replaces only what follows the last break character
        local strip=''
        [[ $cur != *[=:]* ]] || strip=${cur%"${cur##*[=:]}"}
        COMPREPLY=("${COMPREPLY[@]#"$strip"}")
    elif ((${#words[@]} == 2)) && [[ $cur != -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$_minivmm_verbs $_minivmm_options" -- "$cur")
    else
        local second=''
        [[ $cur != --* ]] || second=-
        mapfile -t COMPREPLY < <(compgen -P "$second" -W "$_minivmm_options" -- "${cur#"$second"}")
    fi
}
complete -F _minivmm minivmm

{
  # The native addon behind src/native-io.ts and src/native-addon.ts. N-API only, so one build serves every Node version from 20 on.
  'targets': [
    {
      'target_name': 'i3_native_io',
      'sources': [
        'src/native/addon.cc',
        'src/native/check.cc',
        'src/native/conntrack.cc',
        'src/native/engine-handle.cc',
        'src/native/engine-open.cc',
        'src/native/engine-report.cc',
        'src/native/engine-step.cc',
        'src/native/engine-tables.cc',
        'src/native/engine-values.cc',
        'src/native/environment.cc',
        'src/native/netfilter-messages.cc',
        'src/native/netlink.cc',
        'src/native/netlink-dump.cc',
        'src/native/netlink-monitor.cc',
        'src/native/netlink-set.cc',
        'src/native/nflog.cc',
        'src/native/p256.cc',
        'src/native/system-error.cc',
        'src/native/tcp.cc',
        'src/native/tun.cc',
        'src/native/udp-options.cc',
        'src/native/udp.cc',
        'src/native/watch.cc',
        # The packet engine, which knows nothing of node.
        '<!@(find src/native/engine -name "*.cc" | LC_ALL=C sort)',
      ],
      'defines': ['NAPI_VERSION=8', '_GNU_SOURCE'],
      'cflags': ['-Wall', '-Wextra', '-Wconversion', '-Werror', '-fvisibility=hidden', '-fstack-protector-strong'],
      'cflags_cc': ['-std=c++20', '-fno-exceptions', '-fno-rtti', '-fvisibility-inlines-hidden'],
      'ldflags': ['-Wl,-z,relro,-z,now', '-Wl,-z,noexecstack'],
      'configurations': {
        # Only here: glibc warns about fortification of code that is not optimised. The engine's small functions are called across files for each packet.
        'Release': {'defines': ['_FORTIFY_SOURCE=2'], 'cflags': ['-O2', '-flto=auto'], 'ldflags': ['-O2', '-flto=auto']},
      },
    },
  ],
}

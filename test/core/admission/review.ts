type Asked = {
  readonly kind: string;
  readonly group?: string;
  readonly operation?: string;
  readonly subResource?: string;
  readonly namespace?: string;
  readonly object: Readonly<Record<string, unknown>> | null;
  readonly oldObject?: Readonly<Record<string, unknown>> | null;
};

/** An AdmissionReview v1 with all the members that an API server sends. */
export function reviewOf({
  kind,
  group = '',
  operation = 'CREATE',
  subResource,
  namespace = 'shop',
  ...objects
}: Asked) {
  const version = 'v1';
  const resource = { group, version, resource: `${kind.toLowerCase()}s` };
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: {
      uid: '705ab4f5-6393-11e8-b7cc-42010a800002',
      kind: { group, version, kind },
      resource,
      ...(subResource === undefined ? {} : { subResource, requestSubResource: subResource }),
      requestKind: { group, version, kind },
      requestResource: resource,
      name: 'web',
      namespace,
      operation,
      userInfo: {
        username: 'jane',
        uid: '7',
        groups: ['system:authenticated'],
        extra: { 'example.com/x': ['y'] },
      },
      object: objects.object,
      oldObject: objects.oldObject ?? null,
      dryRun: false,
      options: { apiVersion: 'meta.k8s.io/v1', kind: 'CreateOptions', fieldManager: 'kubectl-create' },
    },
  };
}



import django.contrib.auth.models
import django.contrib.auth.validators
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [
        migrations.CreateModel(
            name='Image',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('sha256', models.CharField(max_length=64)),
                ('storage_key', models.CharField(max_length=160)),
                ('thumbnail_key', models.CharField(max_length=160)),
                ('file_name', models.CharField(max_length=200)),
                ('width_px', models.PositiveIntegerField()),
                ('height_px', models.PositiveIntegerField()),
                ('status', models.CharField(default='ready', max_length=16)),
                ('side', models.CharField(blank=True, default='', max_length=8)),
            ],
            options={
                'ordering': ['created_at', 'id'],
            },
        ),
        migrations.CreateModel(
            name='User',
            fields=[
                ('password', models.CharField(max_length=128, verbose_name='password')),
                ('last_login', models.DateTimeField(blank=True, null=True, verbose_name='last login')),
                ('is_superuser', models.BooleanField(default=False, help_text='Designates that this user has all permissions without explicitly assigning them.', verbose_name='superuser status')),
                ('username', models.CharField(error_messages={'unique': 'A user with that username already exists.'}, help_text='Required. 150 characters or fewer. Letters, digits and @/./+/-/_ only.', max_length=150, unique=True, validators=[django.contrib.auth.validators.UnicodeUsernameValidator()], verbose_name='username')),
                ('first_name', models.CharField(blank=True, max_length=150, verbose_name='first name')),
                ('last_name', models.CharField(blank=True, max_length=150, verbose_name='last name')),
                ('email', models.EmailField(blank=True, max_length=254, verbose_name='email address')),
                ('is_staff', models.BooleanField(default=False, help_text='Designates whether the user can log into this admin site.', verbose_name='staff status')),
                ('is_active', models.BooleanField(default=True, help_text='Designates whether this user should be treated as active. Unselect this instead of deleting accounts.', verbose_name='active')),
                ('date_joined', models.DateTimeField(default=django.utils.timezone.now, verbose_name='date joined')),
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('role', models.CharField(default='annotator', max_length=16)),
                ('groups', models.ManyToManyField(blank=True, help_text='The groups this user belongs to. A user will get all permissions granted to each of their groups.', related_name='user_set', related_query_name='user', to='auth.group', verbose_name='groups')),
                ('user_permissions', models.ManyToManyField(blank=True, help_text='Specific permissions for this user.', related_name='user_set', related_query_name='user', to='auth.permission', verbose_name='user permissions')),
            ],
            managers=[
                ('objects', django.contrib.auth.models.UserManager()),
            ],
        ),
        migrations.CreateModel(
            name='EngineStage',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('kind', models.CharField(max_length=24)),
                ('ordinal', models.PositiveIntegerField()),
                ('status', models.CharField(default='open', max_length=16)),
                ('policy', models.JSONField(default=dict)),
                ('next_kind', models.CharField(blank=True, default='', max_length=24)),
                ('opened_at', models.DateTimeField()),
                ('closed_at', models.DateTimeField(null=True)),
                ('opened_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['ordinal'],
            },
        ),
        migrations.CreateModel(
            name='Embedding',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('encoder_sha256', models.CharField(max_length=64)),
                ('storage_key', models.CharField(max_length=160)),
                ('sha256', models.CharField(max_length=64)),
                ('size_bytes', models.PositiveBigIntegerField()),
                ('image', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='embeddings', to='engine.image')),
            ],
        ),
        migrations.CreateModel(
            name='Assignment',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('status', models.CharField(default='leased', max_length=16)),
                ('leased_at', models.DateTimeField()),
                ('lease_expires_at', models.DateTimeField()),
                ('finished_at', models.DateTimeField(null=True)),
                ('annotator', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='assignments', to=settings.AUTH_USER_MODEL)),
                ('stage', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='assignments', to='engine.enginestage')),
                ('image', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='assignments', to='engine.image')),
            ],
        ),
        migrations.CreateModel(
            name='Job',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('kind', models.CharField(max_length=24)),
                ('queue', models.CharField(max_length=8)),
                ('priority', models.SmallIntegerField()),
                ('args', models.JSONField(default=dict)),
                ('idem_key', models.CharField(max_length=200)),
                ('status', models.CharField(default='queued', max_length=16)),
                ('run_after', models.DateTimeField(default=django.utils.timezone.now)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('max_attempts', models.PositiveIntegerField()),
                ('fence', models.PositiveBigIntegerField(default=0)),
                ('lease_owner', models.CharField(blank=True, default='', max_length=200)),
                ('lease_until', models.DateTimeField(null=True)),
                ('progress_pct', models.PositiveSmallIntegerField(default=0)),
                ('progress_text', models.CharField(blank=True, default='', max_length=200)),
                ('result', models.JSONField(null=True)),
                ('error', models.TextField(blank=True, default='')),
                ('cancel_requested_at', models.DateTimeField(null=True)),
                ('started_at', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(null=True)),
                ('parent', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='engine.job')),
            ],
            options={
                'ordering': ['created_at', 'id'],
            },
        ),
        migrations.CreateModel(
            name='JobAttempt',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('fence', models.PositiveBigIntegerField()),
                ('worker', models.CharField(max_length=200)),
                ('started_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(null=True)),
                ('outcome', models.CharField(blank=True, default='', max_length=16)),
                ('job', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='attempt_rows', to='engine.job')),
            ],
            options={
                'ordering': ['fence'],
            },
        ),
        migrations.CreateModel(
            name='Mask',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('source', models.CharField(max_length=16)),
                ('status', models.CharField(max_length=16)),
                ('label', models.CharField(blank=True, default='', max_length=200)),
                ('order', models.PositiveIntegerField(default=0)),
                ('image', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='masks', to='engine.image')),
                ('reviewed_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('stage', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='masks', to='engine.enginestage')),
            ],
            options={
                'ordering': ['order', 'id'],
            },
        ),
        migrations.CreateModel(
            name='MaskRevision',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('kind', models.CharField(max_length=16)),
                ('rle_counts', models.TextField()),
                ('rle_sha256', models.CharField(max_length=64)),
                ('area_px', models.PositiveIntegerField()),
                ('bbox_x_px', models.PositiveIntegerField()),
                ('bbox_y_px', models.PositiveIntegerField()),
                ('bbox_w_px', models.PositiveIntegerField()),
                ('bbox_h_px', models.PositiveIntegerField()),
                ('predicted_iou', models.FloatField(null=True)),
                ('stability_score', models.FloatField(null=True)),
                ('prompts', models.JSONField(default=list)),
                ('annotate_ms', models.PositiveIntegerField(null=True)),
                ('assignment', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='mask_revisions', to='engine.assignment')),
                ('author', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('mask', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='revisions', to='engine.mask')),
                ('parent', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='engine.maskrevision')),
            ],
        ),
        migrations.AddField(
            model_name='mask',
            name='head',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='engine.maskrevision'),
        ),
        migrations.CreateModel(
            name='ModelVersion',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('family', models.CharField(max_length=16)),
                ('number', models.PositiveIntegerField()),
                ('arch', models.CharField(blank=True, default='', max_length=40)),
                ('status', models.CharField(default='pending', max_length=16)),
                ('checkpoint_key', models.CharField(blank=True, default='', max_length=160)),
                ('checkpoint_sha256', models.CharField(blank=True, default='', max_length=64)),
                ('encoder_sha256', models.CharField(blank=True, default='', max_length=64)),
                ('decoder_key', models.CharField(blank=True, default='', max_length=160)),
                ('decoder_sha256', models.CharField(blank=True, default='', max_length=64)),
                ('config', models.JSONField(default=dict)),
                ('error', models.TextField(blank=True, default='')),
                ('parent', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='children', to='engine.modelversion')),
            ],
            options={
                'ordering': ['number'],
            },
        ),
        migrations.AddField(
            model_name='maskrevision',
            name='model_version',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='mask_revisions', to='engine.modelversion'),
        ),
        migrations.CreateModel(
            name='Project',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('name', models.CharField(max_length=200)),
                ('slug', models.SlugField(max_length=80, unique=True)),
                ('created_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['created_at'],
            },
        ),
        migrations.AddField(
            model_name='modelversion',
            name='project',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='model_versions', to='engine.project'),
        ),
        migrations.AddField(
            model_name='job',
            name='project',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='jobs', to='engine.project'),
        ),
        migrations.AddField(
            model_name='image',
            name='project',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='images', to='engine.project'),
        ),
        migrations.CreateModel(
            name='Export',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('format', models.CharField(max_length=16)),
                ('filters', models.JSONField(default=dict)),
                ('status', models.CharField(default='pending', max_length=16)),
                ('storage_key', models.CharField(blank=True, default='', max_length=160)),
                ('sha256', models.CharField(blank=True, default='', max_length=64)),
                ('num_masks', models.PositiveIntegerField(default=0)),
                ('job', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='engine.job')),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='exports', to='engine.project')),
            ],
            options={
                'ordering': ['created_at'],
            },
        ),
        migrations.AddField(
            model_name='enginestage',
            name='project',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='stages', to='engine.project'),
        ),
        migrations.CreateModel(
            name='SignInToken',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('token_sha256', models.CharField(max_length=64, unique=True)),
                ('expires_at', models.DateTimeField()),
                ('used_at', models.DateTimeField(null=True)),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='sign_in_tokens', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='Snapshot',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('manifest_key', models.CharField(max_length=160)),
                ('sha256', models.CharField(max_length=64)),
                ('num_images', models.PositiveIntegerField()),
                ('num_masks', models.PositiveIntegerField()),
                ('project', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='snapshots', to='engine.project')),
            ],
        ),
        migrations.AddField(
            model_name='modelversion',
            name='snapshot',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='model_versions', to='engine.snapshot'),
        ),
        migrations.CreateModel(
            name='Evaluation',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('metrics', models.JSONField(default=dict)),
                ('model_version', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='evaluations', to='engine.modelversion')),
                ('snapshot', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='evaluations', to='engine.snapshot')),
            ],
            options={
                'ordering': ['created_at'],
            },
        ),
        migrations.CreateModel(
            name='StateChange',
            fields=[
                ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ('subject_type', models.CharField(max_length=24)),
                ('subject_id', models.UUIDField()),
                ('from_state', models.CharField(max_length=16)),
                ('to_state', models.CharField(max_length=16)),
                ('reason', models.TextField(blank=True, default='')),
                ('actor', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.AddConstraint(
            model_name='user',
            constraint=models.CheckConstraint(condition=models.Q(('role__in', ['annotator', 'lead', 'admin'])), name='user_role_known'),
        ),
        migrations.AddConstraint(
            model_name='embedding',
            constraint=models.UniqueConstraint(fields=('image', 'encoder_sha256'), name='embedding_once_per_encoder'),
        ),
        migrations.AddConstraint(
            model_name='embedding',
            constraint=models.CheckConstraint(condition=models.Q(('encoder_sha256', ''), _negated=True), name='embedding_has_encoder'),
        ),
        migrations.AddIndex(
            model_name='assignment',
            index=models.Index(fields=['status', 'lease_expires_at'], name='assignment_expiry'),
        ),
        migrations.AddConstraint(
            model_name='assignment',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['leased', 'submitted', 'skipped', 'released', 'expired'])), name='assignment_status_known'),
        ),
        migrations.AddConstraint(
            model_name='assignment',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'leased')), fields=('image',), name='assignment_one_lease_per_image'),
        ),
        migrations.AddConstraint(
            model_name='assignment',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'leased')), fields=('annotator',), name='assignment_one_lease_per_annotator'),
        ),
        migrations.AddConstraint(
            model_name='assignment',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'leased'), ('finished_at__isnull', True)), models.Q(models.Q(('status', 'leased'), _negated=True), ('finished_at__isnull', False)), _connector='OR'), name='assignment_finished_at_iff_over'),
        ),
        migrations.AddConstraint(
            model_name='jobattempt',
            constraint=models.UniqueConstraint(fields=('job', 'fence'), name='attempt_once_per_fence'),
        ),
        migrations.AddConstraint(
            model_name='mask',
            constraint=models.CheckConstraint(condition=models.Q(('source__in', ['human', 'prefilled', 'automatic'])), name='mask_source_known'),
        ),
        migrations.AddConstraint(
            model_name='mask',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['proposed', 'accepted', 'rejected'])), name='mask_status_known'),
        ),
        migrations.AddConstraint(
            model_name='mask',
            constraint=models.UniqueConstraint(fields=('head',), name='mask_head_once'),
        ),
        migrations.AddConstraint(
            model_name='maskrevision',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['create', 'edit', 'proposal'])), name='revision_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='maskrevision',
            constraint=models.CheckConstraint(condition=models.Q(('area_px__gt', 0)), name='revision_not_empty'),
        ),
        migrations.AddConstraint(
            model_name='maskrevision',
            constraint=models.CheckConstraint(condition=models.Q(('bbox_h_px__gt', 0), ('bbox_w_px__gt', 0)), name='revision_box_not_empty'),
        ),
        migrations.AddConstraint(
            model_name='maskrevision',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('author__isnull', True), ('kind', 'proposal')), models.Q(models.Q(('kind', 'proposal'), _negated=True), ('author__isnull', False)), _connector='OR'), name='revision_author_iff_human'),
        ),
        migrations.AddConstraint(
            model_name='maskrevision',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'proposal'), _negated=True), ('model_version__isnull', False), _connector='OR'), name='revision_proposal_names_its_model'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('status', 'queued')), fields=['queue', 'priority', 'created_at'], name='job_claim_order'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(condition=models.Q(('status', 'running')), fields=['lease_until'], name='job_running_leases'),
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(fields=['project', 'created_at'], name='job_of_project'),
        ),
        migrations.AddConstraint(
            model_name='job',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['embed_image', 'export_decoder', 'prelabel_image', 'automask_image', 'train_sam', 'train_detector', 'evaluate_sam', 'export'])), name='job_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='job',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['queued', 'running', 'succeeded', 'failed', 'dead', 'cancelled'])), name='job_status_known'),
        ),
        migrations.AddConstraint(
            model_name='job',
            constraint=models.UniqueConstraint(condition=models.Q(('status__in', ['queued', 'running'])), fields=('idem_key',), name='job_one_live_per_idem_key'),
        ),
        migrations.AddConstraint(
            model_name='job',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'running'), ('lease_until__isnull', False)), models.Q(models.Q(('status', 'running'), _negated=True), ('lease_until__isnull', True)), _connector='OR'), name='job_lease_iff_running'),
        ),
        migrations.AddConstraint(
            model_name='job',
            constraint=models.CheckConstraint(condition=models.Q(('progress_pct__lte', 100)), name='job_progress_is_a_percentage'),
        ),
        migrations.AddConstraint(
            model_name='image',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['ready', 'done', 'rejected'])), name='image_status_known'),
        ),
        migrations.AddConstraint(
            model_name='image',
            constraint=models.CheckConstraint(condition=models.Q(('side__in', ['', 'train', 'holdout'])), name='image_side_known'),
        ),
        migrations.AddConstraint(
            model_name='image',
            constraint=models.UniqueConstraint(fields=('project', 'sha256'), name='image_content_once'),
        ),
        migrations.AddConstraint(
            model_name='image',
            constraint=models.CheckConstraint(condition=models.Q(('height_px__gt', 0), ('width_px__gt', 0)), name='image_has_pixels'),
        ),
        migrations.AddConstraint(
            model_name='export',
            constraint=models.CheckConstraint(condition=models.Q(('format__in', ['sa1b', 'coco'])), name='export_format_known'),
        ),
        migrations.AddConstraint(
            model_name='export',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['pending', 'ready', 'failed'])), name='export_status_known'),
        ),
        migrations.AddConstraint(
            model_name='export',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'ready'), models.Q(('storage_key', ''), _negated=True)), models.Q(models.Q(('status', 'ready'), _negated=True), ('storage_key', '')), _connector='OR'), name='export_file_iff_ready'),
        ),
        migrations.AddConstraint(
            model_name='enginestage',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['assisted_manual', 'semi_automatic', 'fully_automatic'])), name='stage_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='enginestage',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['open', 'draining', 'closed'])), name='stage_status_known'),
        ),
        migrations.AddConstraint(
            model_name='enginestage',
            constraint=models.UniqueConstraint(fields=('project', 'ordinal'), name='stage_ordinal_once'),
        ),
        migrations.AddConstraint(
            model_name='enginestage',
            constraint=models.UniqueConstraint(condition=models.Q(('status__in', ['open', 'draining'])), fields=('project',), name='stage_one_active_per_project'),
        ),
        migrations.AddConstraint(
            model_name='enginestage',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('closed_at__isnull', False), ('status', 'closed')), models.Q(models.Q(('status', 'closed'), _negated=True), ('closed_at__isnull', True)), _connector='OR'), name='stage_closed_at_iff_closed'),
        ),
        migrations.AddConstraint(
            model_name='enginestage',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'draining'), _negated=True), models.Q(('next_kind', ''), _negated=True), _connector='OR'), name='stage_draining_knows_the_next'),
        ),
        migrations.AddConstraint(
            model_name='snapshot',
            constraint=models.UniqueConstraint(fields=('project', 'sha256'), name='snapshot_content_once'),
        ),
        migrations.AddConstraint(
            model_name='snapshot',
            constraint=models.CheckConstraint(condition=models.Q(('num_images__gt', 0), ('num_masks__gt', 0)), name='snapshot_not_empty'),
        ),
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.CheckConstraint(condition=models.Q(('family__in', ['sam', 'object_detector'])), name='model_family_known'),
        ),
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['pending', 'training', 'trained', 'evaluated', 'serving', 'retired', 'rejected', 'failed'])), name='model_status_known'),
        ),
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.UniqueConstraint(fields=('project', 'family', 'number'), name='model_number_once'),
        ),
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'serving')), fields=('project', 'family'), name='model_one_serving_per_family'),
        ),
        migrations.AddConstraint(
            model_name='modelversion',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['pending', 'training', 'failed']), models.Q(models.Q(('checkpoint_key', ''), _negated=True), models.Q(('checkpoint_sha256', ''), _negated=True), models.Q(('encoder_sha256', ''), _negated=True)), _connector='OR'), name='model_trained_has_checkpoint'),
        ),
        migrations.AddConstraint(
            model_name='evaluation',
            constraint=models.UniqueConstraint(fields=('model_version', 'snapshot'), name='evaluation_once_per_snapshot'),
        ),
        migrations.AddIndex(
            model_name='statechange',
            index=models.Index(fields=['subject_type', 'subject_id', 'created_at'], name='state_change_of_subject'),
        ),
    ]
